// Package message has what all messages of the engine have in common: each is one line of JSON, an object, with the
// version of the messages.
package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Version is the version of all messages of lkhub. lkhub/wire/message.py says when it changes.
const Version = 1

// Marshal returns value, which must be an object in JSON, with the version. Its readers are not browsers, so <, > and &
// stay as they are.
func Marshal(value any) ([]byte, error) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	rest, isObject := bytes.CutPrefix(line.Bytes(), []byte("{"))
	if !isObject {
		return nil, fmt.Errorf("%T is no message: it is not an object in JSON", value)
	}
	head := fmt.Sprintf(`{"version":%d`, Version)
	if rest[0] != '}' {
		head += ","
	}
	return append([]byte(head), rest...), nil
}

// Write writes value as one line, with the version.
func Write(w io.Writer, value any) {
	if line, err := Marshal(value); err == nil {
		_, _ = w.Write(line)
	}
}

// Check returns what is wrong with the version of a message that was read.
func Check(version int) error {
	if version != Version {
		return fmt.Errorf("version is %d, and this program speaks %d", version, Version)
	}
	return nil
}
