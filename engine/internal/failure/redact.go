package failure

import "regexp"

// A YAML error quotes what it stumbled over, and with keys and secrets swapped or run together that is a secret.
var (
	quotedSecret = regexp.MustCompile("(?:`[^`]*`|\"[^\"]*\") (into map\\[string\\]string)")
	longWord     = regexp.MustCompile("(field |key |[`\"])[^\\s`\"]{32,}")
)

// Redact takes out of an error what may be a secret.
func Redact(message string) string {
	message = quotedSecret.ReplaceAllString(message, "$1")
	return longWord.ReplaceAllString(message, "$1…")
}
