package message

import (
	"bytes"
	"testing"
)

func TestEveryMessageHasTheVersion(t *testing.T) {
	for want, value := range map[string]any{
		"{\"version\":1,\"a\":\"<&>\"}\n": map[string]string{"a": "<&>"},
		"{\"version\":1}\n":               struct{}{},
		"{\"version\":1,\"b\":2}\n": struct {
			B int `json:"b"`
		}{2},
		"": []int{1}, // no object
	} {
		var line bytes.Buffer
		if Write(&line, value); line.String() != want {
			t.Errorf("%q is not %q", line.String(), want)
		}
	}
}

func TestAMessageOfAnotherVersionIsNotTaken(t *testing.T) {
	if err := Check(Version); err != nil {
		t.Error(err)
	}
	if err := Check(Version + 1); err == nil || err.Error() != "version is 2, and this program speaks 1" {
		t.Error(err)
	}
}
