package message

import (
	"strings"
	"testing"
)

func TestQuoteIsOneShortLineThatCommandsNoTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"a\r\n\tb\x00 c":                 "a b c",
		"\x1b]0;title\x07\u009b2J\u202e": "]0;title 2J",
		"Zażółć – „日本語“":                 "Zażółć – „日本語“",
		"\xff\xfe":                       "\ufffd",
		strings.Repeat("ż", 31):          strings.Repeat("ż", 30) + "…",
	} {
		if got := Quote(text, 30); got != want {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
	}
}
