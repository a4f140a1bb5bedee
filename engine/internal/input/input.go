// Package input reads the engine's input: configurations, and files of secrets that other users must not be able to
// read.
package input

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"lkhub/engine/internal/failure"
)

// maxText is more than any configuration needs, and small enough to be read whole.
const maxText = 1 << 20

// ReadText reads a configuration file, or stdin for "-".
func ReadText(path string, stdin io.Reader) (string, error) {
	name, from := "standard input", stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", Unreadable(err)
		}
		defer file.Close()
		name, from = path, file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxText+1))
	if err != nil {
		return "", Unreadable(err)
	}
	if len(text) > maxText {
		return "", failure.Config("%s is larger than %d bytes; this is no configuration", name, maxText)
	}
	return string(text), nil
}

// Unreadable tells a file that this user may not read, which is the machine's fault, from a missing one.
func Unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return failure.Config("%v", err)
}

// CheckPrivate says what is wrong with the file of a secret: it is missing, or every user can read it. It has the same
// rule for the mode as LiveKit, so that one file can serve both.
func CheckPrivate(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case info.Mode().Perm()&0o007 != 0:
		return fmt.Errorf("%s may be read by others; chmod o-rwx %s", path, path)
	}
	return nil
}

// ReadSecret reads a file that holds one secret.
func ReadSecret(path string) (string, error) {
	if err := CheckPrivate(path); err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s holds no secret, it is empty", path)
	}
	return secret, nil
}
