package participant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/pion/logging"
	"github.com/pion/stun/v3"
)

// diaryLength limits what is kept: a person reads it in one sentence.
const diaryLength = 3

// diary keeps the first errors of pion's ICE agent. pion gives the reason for a refused TURN allocation or TCP
// connection only to its log.
type diary struct {
	mu      sync.Mutex
	entries []string
	refusal stun.ErrorCode // the first refusal of a TURN server
}

// NewLogger implements logging.LoggerFactory. The ICE agent writes into the diary; all other logs are dropped.
func (d *diary) NewLogger(scope string) logging.LeveledLogger {
	silent := logging.NewDefaultLeveledLoggerForScope(scope, logging.LogLevelDisabled, io.Discard)
	if scope != "ice" {
		return silent
	}
	return diaryLogger{silent, d}
}

func (d *diary) read() ([]string, stun.ErrorCode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.entries), d.refusal
}

// write keeps the errors among a log line's arguments, whatever its wording.
func (d *diary) write(args []any) {
	for _, arg := range args {
		err, ok := arg.(error)
		if !ok || fromClosing(err) {
			continue
		}
		text := inWords(err)
		var refused *stun.TurnError
		isRefusal := errors.As(err, &refused)
		d.mu.Lock()
		if isRefusal && d.refusal == 0 {
			d.refusal = refused.ErrorCodeAttr.Code
		}
		if !slices.Contains(d.entries, text) && len(d.entries) < diaryLength {
			d.entries = append(d.entries, text)
		}
		d.mu.Unlock()
	}
}

// refusals are a TURN server's answers to a client that does all else right. Most servers send only the number.
var refusals = map[stun.ErrorCode]string{
	stun.CodeBadRequest:             wrongSecret, // from pion, and so from LiveKit's own server; other servers send 401
	stun.CodeUnauthorized:           wrongSecret,
	stun.CodeForbidden:              "it refuses this client",
	stun.CodeAddrFamilyNotSupported: "it has no relay address of the family that was asked for",
	stun.CodeAllocQuotaReached:      "the participant's allocations are used up, or the server is about to stop",
	stun.CodeInsufficientCapacity:   "it has no relay port left",
}

const wrongSecret = "it refuses the name and password that LiveKit gave out: its secret is another one, or its clock"

func inWords(err error) string {
	var refused *stun.TurnError
	if errors.As(err, &refused) {
		if words, ok := refusals[refused.ErrorCodeAttr.Code]; ok {
			return fmt.Sprintf("%s (error %d)", words, refused.ErrorCodeAttr.Code)
		}
	}
	return err.Error()
}

// fromClosing tells errors that are caused by closing, which explain nothing, from earlier ones.
func fromClosing(err error) bool {
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "read" && operation.Timeout() { // the deadline was set to unblock a reader
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) ||
		strings.Contains(err.Error(), net.ErrClosed.Error()) // pion/turn has the text without the error
}

type diaryLogger struct {
	logging.LeveledLogger
	diary *diary
}

func (l diaryLogger) Infof(_ string, args ...any)  { l.diary.write(args) }
func (l diaryLogger) Warnf(_ string, args ...any)  { l.diary.write(args) }
func (l diaryLogger) Errorf(_ string, args ...any) { l.diary.write(args) }
