// Package judge says what is wrong with a livekit.yaml, as the server would at its start, but without using the
// network.
package judge

import (
	"cmp"
	"errors"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/sfu/config"
)

// Message is one fault of a livekit.yaml.
type Message struct {
	Code  Code     `json:"code"`
	Line  *int     `json:"line"` // 1-based; null if it is about what is missing
	Text  string   `json:"message"`
	Known []string `json:"known,omitempty"` // for an unknown key: the keys that exist there
	cause error
}

// Messages are all faults, in the order of their lines.
type Messages []Message

// Check returns all faults that keep the server from starting, or from starting safely: those of the server's strict
// parse, then those of its later checks. It never uses the network and binds no socket.
func Check(text string) Messages {
	found := Messages{}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return append(found, parseMessages(err, Syntax)...)
	}
	root := &document
	if len(document.Content) > 0 {
		root = document.Content[0]
	}
	text, custom := checkCustomScalars(text, root)
	found = append(found, custom...)
	conf, err := config.DecodeStrict(text)
	var typeErrors *yaml.TypeError
	if err != nil && (len(custom) == 0 || errors.As(err, &typeErrors)) {
		found = append(found, parseMessages(err, BadValue)...)
	}
	if conf != nil {
		found = append(found, judge(conf, root)...)
	}
	slices.SortStableFunc(found, func(a, b Message) int { return cmp.Compare(a.line(), b.line()) })
	return found
}

// line is the line by which a message is sorted: what is not in the file comes last.
func (m Message) line() int {
	if m.Line == nil {
		return math.MaxInt
	}
	return *m.Line
}

// unknownField is yaml.v3's text (decode.go, mappingStruct), with the type's name in Go.
var unknownField = regexp.MustCompile(`^field .* not found in type (\S+)$`)

var lineNumber = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// parseMessages takes a YAML error apart. Type errors and unknown keys come all at once. Any other error comes alone,
// and gets the code alone.
func parseMessages(err error, alone Code) Messages {
	texts, code := []string{err.Error()}, alone
	var several *yaml.TypeError
	if errors.As(err, &several) {
		texts, code = several.Errors, WrongType
	}
	var found Messages
	for _, text := range texts {
		m := Message{Code: code, Text: strings.TrimPrefix(failure.Redact(text), "yaml: ")}
		if match := lineNumber.FindStringSubmatch(text); match != nil {
			line, _ := strconv.Atoi(match[1])
			m.Line = &line
			m.Text = failure.Redact(text[len(match[0]):])
		}
		if match := unknownField.FindStringSubmatch(m.Text); match != nil {
			m.Code, m.Known = UnknownKey, knownKeys[match[1]]
		}
		found = append(found, m)
	}
	return found
}

// checkCustomScalars checks the values that upstream decodes by its own code. Their errors have no line and end the
// decoding. So a wrong value is reported here and removed from the text, which keeps its lines.
func checkCustomScalars(text string, root *yaml.Node) (string, Messages) {
	var found Messages
	var into config.Server
	lines := strings.Split(text, "\n")
	for key, decode := range map[string]func(*yaml.Node) error{
		"udp_port": into.RTC.UDPPort.UnmarshalYAML,
		"node_ip":  into.RTC.NodeIP.UnmarshalYAML,
	} {
		node := lookup(root, "rtc", key)
		if node == nil {
			continue
		}
		if err := decode(node); err != nil {
			found = append(found, at(node, BadValue, "rtc.%s: %v", key, err))
			takeOut(lines, node)
		}
	}
	return strings.Join(lines, "\n"), found
}

// takeOut replaces a scalar with an empty value, if the text has the scalar as it was read. The text may differ: YAML
// has escapes, aliases, and line breaks that strings.Split does not know.
func takeOut(lines []string, node *yaml.Node) {
	if node.Line > len(lines) {
		return
	}
	line := []rune(lines[node.Line-1])
	if node.Column > len(line) {
		return
	}
	before, rest := string(line[:node.Column-1]), string(line[node.Column-1:])
	for _, quote := range []string{"", `"`, "'"} {
		if after, found := strings.CutPrefix(rest, quote+node.Value+quote); found {
			lines[node.Line-1] = before + `""` + after
			return
		}
	}
}

// Failure returns one error that has all messages.
func (found Messages) Failure() error {
	var texts []string
	for _, m := range found {
		if errors.Is(m.cause, fs.ErrPermission) {
			return m.cause
		}
		if m.Line != nil {
			m.Text = "line " + strconv.Itoa(*m.Line) + ": " + m.Text
		}
		texts = append(texts, m.Text)
	}
	return failure.Config("livekit.yaml: %s", strings.Join(texts, "; "))
}
