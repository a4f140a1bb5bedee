package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Exit codes, the same as lkhub's own.
const (
	exitOK      = 0
	exitNotWell = 1  // what was asked about is not well, or a failure while running
	exitUsage   = 2  // bad usage or bad input
	exitMachine = 3  // this machine prevents it: port taken, no permission
	exitBug     = 70 // a bug in lkhub
)

// failure is an error with its exit code and the stable kebab-case code that it is reported under.
type failure struct {
	exit    int
	code    string
	message string
}

func (f *failure) Error() string { return f.message }

func badUsage(format string, args ...any) *failure {
	return &failure{exitUsage, "usage", fmt.Sprintf(format, args...)}
}

func badConfig(format string, args ...any) *failure {
	return &failure{exitUsage, "config", redact(fmt.Sprintf(format, args...))}
}

// report writes the one line that every failure leaves on stdout, and returns the exit code.
func report(stdout io.Writer, err error) int {
	f := classify(err)
	writeJSON(stdout, map[string]any{"error": map[string]string{"code": f.code, "message": f.message}})
	return f.exit
}

// writeJSON writes one line. Nobody who reads it is a browser, so <, > and & stay as they are.
func writeJSON(w io.Writer, value any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value)
}

// classify tells by errno which errors are this machine's, whatever text upstream wrapped around them.
// A failure keeps what it says.
func classify(err error) *failure {
	var known *failure
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, syscall.EADDRINUSE):
		return &failure{exitMachine, "address-in-use", err.Error()}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return &failure{exitMachine, "address-not-available", err.Error()}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return &failure{exitMachine, "permission-denied", err.Error()}
	default:
		return &failure{exitNotWell, "failed", err.Error()}
	}
}

// bug turns a recovered panic into the failure that it is reported as; the caller prints the stack.
func bug(recovered any) *failure {
	return &failure{exitBug, "bug", fmt.Sprintf("lkhub-engine panicked: %v", recovered)}
}
