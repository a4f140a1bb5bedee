// Package failure has the engine's failures. Each has an exit code, a reason code for programs and a text for people,
// and leaves one line of JSON on stdout.
package failure

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"lkhub/engine/internal/message"
)

// Exit codes, the same as lkhub's own.
const (
	ExitOK      = 0
	ExitNotWell = 1  // the examined thing is not well, or a failure while running
	ExitUsage   = 2  // bad usage or bad input
	ExitMachine = 3  // this machine prevents it: port taken, no permission
	ExitBug     = 70 // a bug in lkhub
)

// Failure is an error with an exit code and a stable kebab-case reason code.
type Failure struct {
	Exit    int
	Code    string
	Message string
}

// New makes a failure. code is its reason code.
func New(exit int, code, message string) *Failure { return &Failure{exit, code, message} }

func (f *Failure) Error() string { return f.Message }

// Usage is a failure for wrong flags or arguments.
func Usage(format string, args ...any) *Failure {
	return &Failure{ExitUsage, "usage", fmt.Sprintf(format, args...)}
}

// Config is a failure for wrong input. Anything in its text that may be a secret is hidden.
func Config(format string, args ...any) *Failure {
	return &Failure{ExitUsage, "config", Redact(fmt.Sprintf(format, args...))}
}

// Report writes the one line that every failure leaves on stdout, and returns the exit code.
func Report(stdout io.Writer, err error) int {
	f := Of(err)
	message.Write(stdout, map[string]any{"error": map[string]string{"code": f.Code, "message": f.Message}})
	return f.Exit
}

// Of finds out by errno which errors this machine causes, whatever text upstream has wrapped around them. A Failure
// stays as it is.
func Of(err error) *Failure {
	var known *Failure
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, syscall.EADDRINUSE):
		return &Failure{ExitMachine, "address-in-use", err.Error()}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return &Failure{ExitMachine, "address-not-available", err.Error()}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return &Failure{ExitMachine, "permission-denied", err.Error()}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Failure{ExitMachine, "disk-full", err.Error()}
	default:
		return &Failure{ExitNotWell, "failed", err.Error()}
	}
}

// Bug turns a recovered panic into a failure. The caller prints the stack.
func Bug(recovered any) *Failure {
	return &Failure{ExitBug, "bug", fmt.Sprintf("lkhub-engine panicked: %v", recovered)}
}
