package sealed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"lkhub/engine/internal/failure"
)

const passphrase = "correct horse battery staple"

func seal(t *testing.T, text string, keys Keys) []byte {
	t.Helper()
	var encrypted bytes.Buffer
	if err := Encrypt(strings.NewReader(text), &encrypted, keys); err != nil {
		t.Fatal(err)
	}
	return encrypted.Bytes()
}

// unseal returns the decrypted text, and the reason code where there is none.
func unseal(t *testing.T, encrypted []byte, keys Keys) (string, string) {
	t.Helper()
	var plain bytes.Buffer
	err := Decrypt(bytes.NewReader(encrypted), &plain, keys)
	var known *failure.Failure
	if err != nil && !errors.As(err, &known) {
		t.Fatalf("not a failure: %v", err)
	}
	if known != nil {
		return plain.String(), known.Code
	}
	return plain.String(), ""
}

func TestAPassphraseOpensWhatItHasClosed(t *testing.T) {
	encrypted := seal(t, "keys", Keys{Passphrase: passphrase})
	if plain, code := unseal(t, encrypted, Keys{Passphrase: passphrase}); plain != "keys" || code != "" {
		t.Errorf("%q %q", plain, code)
	}
	if plain, code := unseal(t, encrypted, Keys{Passphrase: "another"}); plain != "" || code != "wrong-key" {
		t.Errorf("%q %q", plain, code)
	}
}

func TestAFileThatAsksForMuchMemoryIsRefusedBeforeAnyIsTaken(t *testing.T) {
	encrypted := seal(t, "keys", Keys{Passphrase: passphrase})
	for _, factor := range []string{"21", "22", "30", "63"} {
		asking := bytes.Replace(encrypted, []byte(" 18\n"), []byte(" "+factor+"\n"), 1)
		began := time.Now()
		if plain, code := unseal(t, asking, Keys{Passphrase: passphrase}); plain != "" || code != "damaged" {
			t.Errorf("%s: %q %q", factor, plain, code)
		}
		if took := time.Since(began); took > 2*time.Second { // with 21 it would be ten seconds and more
			t.Errorf("%s was tried for %s", factor, took)
		}
	}
}

func TestAKeyOfAgeAndOneOfSSHBothOpen(t *testing.T) {
	own, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	public, plain, locked := newSSHKey(t)
	encrypted := seal(t, "keys", Keys{Recipients: []string{own.Recipient().String(), public}})
	for name, keys := range map[string]Keys{
		"age":        {Identities: []string{"# made today\n" + own.String() + "\n"}},
		"SSH":        {Identities: []string{plain}},
		"locked SSH": {Identities: []string{locked}, Passphrase: passphrase},
	} {
		if plain, code := unseal(t, encrypted, keys); plain != "keys" || code != "" {
			t.Errorf("%s: %q %q", name, plain, code)
		}
	}
	if plain, code := unseal(t, encrypted, Keys{Identities: []string{locked}, Passphrase: "another"}); plain != "" || code != "wrong-key" {
		t.Errorf("%q %q", plain, code)
	}
}

func TestAWrongKeyIsToldFromADamagedFile(t *testing.T) {
	own, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	byKey := seal(t, strings.Repeat("keys", 50_000), Keys{Recipients: []string{own.Recipient().String()}})
	byPassphrase := seal(t, "keys", Keys{Passphrase: passphrase})
	identity := Keys{Identities: []string{own.String()}}
	altered := bytes.Clone(byKey)
	altered[len(altered)-100_000] ^= 1
	_, _, locked := newSSHKey(t)
	for name, each := range map[string]struct {
		encrypted []byte
		keys      Keys
		code      string
	}{
		"a passphrase for a key":      {byKey, Keys{Passphrase: passphrase}, "needs-identity"},
		"a key for a passphrase":      {byPassphrase, identity, "needs-passphrase"},
		"no private key":              {byKey, Keys{Identities: []string{"no key"}}, "bad-identity"},
		"a locked key":                {byKey, Keys{Identities: []string{locked}}, "locked-identity"},
		"an altered file":             {altered, identity, "damaged"},
		"a file that ends too early":  {byKey[:len(byKey)-1], identity, "damaged"},
		"a file cut between parts":    {byKey[:len(byKey)/2], identity, "damaged"},
		"more after the end":          {append(bytes.Clone(byKey), 'x'), identity, "damaged"},
		"a file that ends in between": {byKey[:60], identity, "damaged"},
		"another file":                {[]byte("version: 1\n"), identity, "damaged"},
		"nothing":                     {nil, identity, "damaged"},
	} {
		if _, code := unseal(t, each.encrypted, each.keys); code != each.code {
			t.Errorf("%s: %q", name, code)
		}
	}
}

func TestBadRecipientsAreRefused(t *testing.T) {
	for _, text := range []string{"age1nothing", "ssh-ed25519 nothing", "alice", ""} {
		err := Encrypt(strings.NewReader("keys"), &bytes.Buffer{}, Keys{Recipients: []string{text}})
		var known *failure.Failure
		if !errors.As(err, &known) || known.Code != "bad-recipient" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// newSSHKey makes a key, and returns its public half, its private half, and that with a passphrase.
func newSSHKey(t *testing.T) (public, private, locked string) {
	t.Helper()
	publicKey, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	converted, err := ssh.NewPublicKey(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	plainBlock, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	lockedBlock, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(converted)), string(pem.EncodeToMemory(plainBlock)), string(pem.EncodeToMemory(lockedBlock))
}
