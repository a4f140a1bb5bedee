package edge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// makePair makes a chain of two certificates and the key of the first.
func makePair(t *testing.T) (chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"hub.test"}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return slices.Concat(one, one), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
}

// makeStorage writes what Caddy keeps: path below the storage → text.
func makeStorage(t *testing.T) (string, map[string][]byte) {
	t.Helper()
	root := t.TempDir()
	chain, key := makePair(t)
	files := map[string][]byte{
		"certificates/lkhub-1/hub.test/hub.test.crt":          chain,
		"certificates/lkhub-1/hub.test/hub.test.key":          key,
		"certificates/lkhub-1/hub.test/hub.test.json":         []byte(`{"sans": ["hub.test"]}`),
		"pki/authorities/lkhub-1/intermediate.crt":            chain,
		"pki/authorities/lkhub-1/intermediate.key":            key,
		"acme/issuer.test-dir/users/ann@a.test/ann.json":      []byte(`{"status": "valid"}`),
		"acme/issuer.test-dir/users/ann@a.test/ann.key":       key,
		"acme/issuer.test-dir/challenge_tokens/hub.test.json": []byte(`{"token": "x"}`),
		"locks/issue_cert_hub.test.lock":                      []byte(`{"created": "2026-11-29T00:00:00Z"}`),
		"last_clean.json":                                     []byte(`{}`),
		"caddy/instance.uuid":                                 []byte("5b"),
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root, files
}

// listFiles has the files of a storage, below it.
func listFiles(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(root, path)
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWholeStorageStays(t *testing.T) {
	root, files := makeStorage(t)
	mendStorage(root)
	if found := listFiles(t, root); len(found) != len(files) {
		t.Errorf("left: %q", found)
	}
	mendStorage(filepath.Join(root, "missing"))
}

func TestDamagedFilesOfTheStorageGoWithWhatBelongsToThem(t *testing.T) {
	_, files := makeStorage(t)
	for name, text := range files {
		if filepath.Ext(name) == ".uuid" {
			continue // Caddy takes any text
		}
		half := text[:len(text)*3/4] // of a chain, the second certificate is cut off
		for what, damaged := range map[string][]byte{
			"empty": {}, "cut off": half, "zeros at its end": slices.Concat(half, bytes.Repeat([]byte{0}, len(text)-len(half))),
		} {
			root, _ := makeStorage(t)
			path := filepath.Join(root, name)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			gone := 1
			if belongTogether(filepath.Dir(path)) {
				gone = len(listFiles(t, filepath.Dir(path)))
			}
			mendStorage(root)
			found := listFiles(t, root)
			if _, err := os.Stat(path); err == nil || len(found) != len(files)-gone {
				t.Errorf("%s %s: left: %q", name, what, found)
			}
		}
	}
}

func TestCertificateWithoutItsKeyGoes(t *testing.T) {
	root, _ := makeStorage(t)
	if err := os.Remove(filepath.Join(root, "pki/authorities/lkhub-1/intermediate.key")); err != nil {
		t.Fatal(err)
	}
	_, other := makePair(t)
	if err := os.WriteFile(filepath.Join(root, "certificates/lkhub-1/hub.test/hub.test.key"), other, 0o600); err != nil {
		t.Fatal(err)
	}
	mendStorage(root)
	for _, name := range []string{"pki/authorities/lkhub-1", "certificates/lkhub-1/hub.test"} {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestCertificateWhoseKeyCanNotBeReadStays(t *testing.T) {
	root, files := makeStorage(t)
	key := filepath.Join(root, "certificates/lkhub-1/hub.test/hub.test.key")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(key, 0o700); err != nil { // root may read every file
		t.Fatal(err)
	}
	mendStorage(root)
	if found := listFiles(t, root); len(found) != len(files)-1 {
		t.Errorf("left: %q", found)
	}
}
