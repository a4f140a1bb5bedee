// Package sealed encrypts and decrypts files in the format of age (https://age-encryption.org/v1), for a passphrase or
// for the owners of age and SSH keys. What it writes can be read by the program age, and the other way round.
package sealed

import (
	"bufio"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"

	"lkhub/engine/internal/failure"
)

// Keys says who can read a file. Either Passphrase or Recipients is set to encrypt, and either Passphrase or Identities
// to decrypt. Recipients are public keys, age1… or ssh-…, and Identities the texts of files with private keys; with an
// identity, Passphrase is that of an SSH key that has one.
type Keys struct {
	Passphrase string   `json:"passphrase"`
	Recipients []string `json:"recipients"`
	Identities []string `json:"identities"`
}

// armored is how a file begins that was encrypted with `age --armor`.
const armored = "-----BEGIN AGE"

// maxWorkFactor bounds what opening a file takes before a byte of it is known to be authentic: 1 GiB of memory. Each one
// more doubles it, and age alone accepts 22. Files of Encrypt and of the program age have 18.
const maxWorkFactor = 20

// Encrypt writes what it reads from plain to to, encrypted. Nothing is complete before it returns without an error.
func Encrypt(plain io.Reader, to io.Writer, keys Keys) error {
	recipients, err := parseRecipients(keys)
	if err != nil {
		return err
	}
	writer, err := age.Encrypt(to, recipients...)
	if err != nil {
		return err
	}
	if _, err := io.Copy(writer, plain); err != nil {
		return err
	}
	return writer.Close()
}

// Decrypt writes what it reads from from to plain, decrypted. Each part of 64 KiB is authentic, and the whole is once
// Decrypt returns without an error.
func Decrypt(from io.Reader, plain io.Writer, keys Keys) error {
	identities, err := parseIdentities(keys)
	if err != nil {
		return err
	}
	source := bufio.NewReader(from)
	var encrypted io.Reader = source
	if begin, _ := source.Peek(len(armored)); string(begin) == armored {
		encrypted = armor.NewReader(source)
	}
	reader, err := age.Decrypt(encrypted, identities...)
	if err != nil {
		return explain(err, keys)
	}
	if _, err := io.Copy(output{plain}, reader); err != nil {
		var out *outputError
		if errors.As(err, &out) {
			return out.cause
		}
		return failure.New(failure.ExitUsage, "damaged", err.Error())
	}
	return nil
}

func parseRecipients(keys Keys) ([]age.Recipient, error) {
	if keys.Passphrase != "" {
		recipient, err := age.NewScryptRecipient(keys.Passphrase)
		return []age.Recipient{recipient}, err
	}
	var found []age.Recipient
	for _, text := range keys.Recipients {
		recipient, err := parseRecipient(text)
		if err != nil {
			return nil, failure.New(failure.ExitUsage, "bad-recipient", err.Error())
		}
		found = append(found, recipient)
	}
	if len(found) == 0 {
		return nil, failure.Usage("encrypt: neither a passphrase nor a recipient")
	}
	return found, nil
}

func parseRecipient(text string) (age.Recipient, error) {
	if strings.HasPrefix(text, "ssh-") {
		return agessh.ParseRecipient(text)
	}
	found, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func parseIdentities(keys Keys) ([]age.Identity, error) {
	if len(keys.Identities) == 0 {
		identity, err := age.NewScryptIdentity(keys.Passphrase)
		if err != nil {
			return nil, failure.Usage("decrypt: neither a passphrase nor an identity")
		}
		identity.SetMaxWorkFactor(maxWorkFactor)
		return []age.Identity{identity}, nil
	}
	var found []age.Identity
	for _, text := range keys.Identities {
		parsed, err := parseIdentity(text, keys.Passphrase)
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			return nil, failure.New(failure.ExitUsage, "locked-identity", "the key has a passphrase")
		}
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, failure.New(failure.ExitUsage, "wrong-key", "the passphrase of the key is wrong")
		}
		if err != nil {
			// Upstream's text might repeat a part of the key.
			return nil, failure.New(failure.ExitUsage, "bad-identity", "no private key of age or SSH")
		}
		found = append(found, parsed...)
	}
	return found, nil
}

func parseIdentity(text, passphrase string) ([]age.Identity, error) {
	if !strings.HasPrefix(text, "-----BEGIN") {
		return age.ParseIdentities(strings.NewReader(text))
	}
	identity, err := agessh.ParseIdentity([]byte(text))
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && locked.PublicKey != nil && passphrase != "" {
		// agessh would find out later, and say it by words alone.
		if _, err := ssh.ParseRawPrivateKeyWithPassphrase([]byte(text), []byte(passphrase)); err != nil {
			return nil, err
		}
		ask := func() ([]byte, error) { return []byte(passphrase), nil }
		identity, err = agessh.NewEncryptedSSHIdentity(locked.PublicKey, []byte(text), ask)
	}
	return []age.Identity{identity}, err
}

// explain gives the reasons for which a header can't be read codes of their own.
func explain(err error, keys Keys) error {
	var none *age.NoIdentityMatchError
	if !errors.As(err, &none) {
		return failure.New(failure.ExitUsage, "damaged", err.Error())
	}
	code := "wrong-key"
	switch hasPassphrase := slices.Contains(none.StanzaTypes, "scrypt"); {
	case hasPassphrase && len(keys.Identities) > 0:
		code = "needs-passphrase"
	case !hasPassphrase && len(keys.Identities) == 0:
		code = "needs-identity"
	}
	return failure.New(failure.ExitUsage, code, err.Error())
}

// output tells a failure to write from one to read.
type output struct{ to io.Writer }

type outputError struct{ cause error }

func (e *outputError) Error() string { return e.cause.Error() }

func (o output) Write(data []byte) (int, error) {
	n, err := o.to.Write(data)
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}
