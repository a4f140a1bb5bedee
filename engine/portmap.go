package main

import (
	"context"
	"flag"
	"io"

	"lkhub/engine/internal/portmap"
)

// runPortmap asks the home router for port mappings. The request is JSON, from a file or stdin; the answer says of each
// port what became of it.
func runPortmap(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("portmap FILE|-", flag.ContinueOnError)
	if code, done := parseFlags(flags, args, 1, stdout, stderr); done {
		return code
	}
	text, err := readText(flags.Arg(0), stdin)
	if err != nil {
		return report(stdout, err)
	}
	request, err := portmap.Parse(text)
	if err != nil {
		return report(stdout, badUsage("portmap: %v", err))
	}
	answer := portmap.Do(context.Background(), request)
	writeJSON(stdout, answer)
	switch {
	case answer.Error == nil:
		return exitOK
	case answer.Error.Code == portmap.NoRouter:
		return exitMachine
	default:
		return exitNotWell
	}
}
