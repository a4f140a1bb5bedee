package edge

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// mendStorage removes what a power cut has damaged in Caddy's storage, so that Caddy makes it anew or asks for it again.
// Caddy itself makes anew only what is missing: with a damaged intermediate it does not start (caddypki/ca.go,
// loadOrGenIntermediate), and a damaged certificate is never replaced (certmagic's config.go, manageOne). The root of
// the hub's own authority is not in the storage. Nothing else may use the storage meanwhile.
func mendStorage(root string) {
	damaged := map[string]bool{} // files, and folders whose files belong together
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || isWhole(path) {
			return nil // what can't be read is reported by Caddy
		}
		if folder := filepath.Dir(path); belongTogether(folder) {
			path = folder
		}
		damaged[path] = true
		return nil
	})
	for path := range damaged {
		if err := os.RemoveAll(path); err != nil {
			caddy.Log().Error("can't remove what is damaged", zap.String("path", path), zap.Error(err))
			continue
		}
		caddy.Log().Warn("removed what was damaged, as after a power cut", zap.String("path", path))
	}
}

// belongTogether says whether the files of a folder are of no use without each other: a key with its certificate, an
// authority's keys, an account with its key.
func belongTogether(folder string) bool {
	keys, _ := filepath.Glob(filepath.Join(folder, "*.key"))
	certificates, _ := filepath.Glob(filepath.Join(folder, "*.crt"))
	return len(keys)+len(certificates) > 0
}

// isWhole says whether a file of the storage is as Caddy wrote it. A file of another kind is taken for whole.
func isWhole(path string) bool {
	kind := filepath.Ext(path)
	if kind != ".crt" && kind != ".key" && kind != ".json" && kind != ".lock" {
		return true
	}
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
		return true
	case kind == ".crt":
		key, err := os.ReadFile(strings.TrimSuffix(path, kind) + ".key")
		if err != nil {
			return !errors.Is(err, fs.ErrNotExist) // as of the certificate itself: it may be sound
		}
		_, err = tls.X509KeyPair(text, key)
		return err == nil && isPEM(text)
	case kind == ".key":
		return isPEM(text)
	}
	return json.Valid(text)
}

// isPEM says whether a text has blocks and nothing else. What follows the last block is not looked at by parsers, but
// may be a certificate that was cut off.
func isPEM(text []byte) bool {
	block, rest := pem.Decode(text)
	for block != nil && len(strings.TrimSpace(string(rest))) > 0 {
		block, rest = pem.Decode(rest)
	}
	return block != nil
}
