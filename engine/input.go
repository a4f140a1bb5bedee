package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// maxText is more than any configuration needs, and little enough to read whole.
const maxText = 1 << 20

// readText reads a configuration file, or stdin for "-".
func readText(path string, stdin io.Reader) (string, error) {
	name, from := "standard input", stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", unreadable(err)
		}
		defer file.Close()
		name, from = path, file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxText+1))
	if err != nil {
		return "", unreadable(err)
	}
	if len(text) > maxText {
		return "", badConfig("%s is larger than %d bytes; this is no configuration", name, maxText)
	}
	return string(text), nil
}

// unreadable tells a file that this user may not read, the machine's matter, from one that is not there.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return badConfig("%v", err)
}

// checkPrivate says what is wrong with the file of a secret: missing, or readable by everybody. It asks of the mode
// what LiveKit asks, so that one file can serve both.
func checkPrivate(path string) error {
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

// readSecret reads a file that holds one secret.
func readSecret(path string) (string, error) {
	if err := checkPrivate(path); err != nil {
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

// A YAML error quotes what it stumbled over, and with keys and secrets swapped or run together that is a secret.
var (
	quotedSecret = regexp.MustCompile("(?:`[^`]*`|\"[^\"]*\") (into map\\[string\\]string)")
	longWord     = regexp.MustCompile("(field |key |[`\"])[^\\s`\"]{32,}")
)

// redact takes out of an error what may be a secret.
func redact(message string) string {
	message = quotedSecret.ReplaceAllString(message, "$1")
	return longWord.ReplaceAllString(message, "$1…")
}
