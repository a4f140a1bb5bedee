package message

import (
	"strings"
	"unicode"
)

// Quote makes the text of another program fit to be shown: on one line, without what commands a terminal, and at most
// limit characters long.
func Quote(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\ufffd"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit]) + "…"
	}
	return text
}
