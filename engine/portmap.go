package main

import (
	"context"
	"flag"
	"io"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
	"lkhub/engine/internal/message"
	"lkhub/engine/internal/portmap"
)

// runPortmap asks the home router for port mappings. The request is JSON, from a file or stdin. The answer has the
// outcome for each port.
func runPortmap(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("portmap FILE|-", flag.ContinueOnError)
	if code, done := parseFlags(flags, args, 1, stdout, stderr); done {
		return code
	}
	text, err := input.ReadText(flags.Arg(0), stdin)
	if err != nil {
		return failure.Report(stdout, err)
	}
	request, err := portmap.Parse(text)
	if err != nil {
		return failure.Report(stdout, failure.Usage("portmap: %v", err))
	}
	answer := portmap.Do(context.Background(), request)
	message.Write(stdout, answer)
	switch {
	case answer.Error == nil:
		return failure.ExitOK
	case answer.Error.Code == portmap.NoRouter:
		return failure.ExitMachine
	default:
		return failure.ExitNotWell
	}
}
