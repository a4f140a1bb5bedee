package failure

import "regexp"

// A YAML error quotes the text that it can't read. If keys and secrets are swapped or run together, that text is a
// secret.
var (
	quotedSecret = regexp.MustCompile("(?:`[^`]*`|\"[^\"]*\") (into map\\[string\\]string)")
	longWord     = regexp.MustCompile("(field |key |[`\"])[^\\s`\"]{32,}")
)

// Redact hides what may be a secret in an error's text.
func Redact(message string) string {
	message = quotedSecret.ReplaceAllString(message, "$1")
	return longWord.ReplaceAllString(message, "$1…")
}
