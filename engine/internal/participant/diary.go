package participant

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/pion/logging"
)

// diaryLength bounds what is kept: a person reads it in one sentence.
const diaryLength = 3

// diary keeps the first errors that pion's ICE agent met. pion gives the reason of a refused TURN allocation or
// TCP connection to its log alone.
type diary struct {
	mu      sync.Mutex
	entries []string
}

// NewLogger implements logging.LoggerFactory: the ICE agent writes into the diary, all else is silent.
func (d *diary) NewLogger(scope string) logging.LeveledLogger {
	silent := logging.NewDefaultLeveledLoggerForScope(scope, logging.LogLevelDisabled, io.Discard)
	if scope != "ice" {
		return silent
	}
	return diaryLogger{silent, d}
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.entries)
}

// write keeps the errors among a log line's arguments, whatever its wording.
func (d *diary) write(args []any) {
	for _, arg := range args {
		err, ok := arg.(error)
		if !ok || fromClosing(err) {
			continue
		}
		d.mu.Lock()
		if !slices.Contains(d.entries, err.Error()) && len(d.entries) < diaryLength {
			d.entries = append(d.entries, err.Error())
		}
		d.mu.Unlock()
	}
}

// fromClosing tells the errors of the end, which explain nothing, from those that led to it.
func fromClosing(err error) bool {
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "read" && operation.Timeout() { // set to unblock a reader
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
