// Package judge says what is wrong with a livekit.yaml, as the server would at its start, without any network access.
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

// Message is one thing that is wrong with a livekit.yaml.
type Message struct {
	Code  Code     `json:"code"`
	Line  *int     `json:"line"` // 1-based; null where it is about what is not there
	Text  string   `json:"message"`
	Known []string `json:"known,omitempty"` // the keys that there are where this one is not known
	cause error
}

// Messages are all that is wrong, in the order of lines.
type Messages []Message

// Check says everything that keeps the server from starting, or from starting safely: the strict parse that
// the server does, then what it checks afterwards. It never touches the network and binds no socket.
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

// line is where a message sorts: what is not in the file comes last.
func (m Message) line() int {
	if m.Line == nil {
		return math.MaxInt
	}
	return *m.Line
}

// unknownField is how yaml.v3 says it (decode.go, mappingStruct), with the type's name in Go.
var unknownField = regexp.MustCompile(`^field .* not found in type (\S+)$`)

var lineNumber = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// parseMessages takes a YAML error apart. Type errors and unknown keys come all at once; any other error comes alone, and
// alone says what it is.
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

// checkCustomScalars judges the values that upstream decodes by itself. An error from those has no line and ends
// the decoding, so a bad one is reported here and taken out of the text, which keeps its lines.
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

// takeOut puts an empty value in a scalar's place, if it stands there as it reads. It may not: YAML has escapes,
// aliases, and line breaks that strings.Split does not know.
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

// Failure is the one error that says all messages.
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
