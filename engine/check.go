package main

import (
	"flag"
	"io"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
	"lkhub/engine/internal/judge"
	"lkhub/engine/internal/message"
)

func runCheckConfig(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("check-config FILE|-", flag.ContinueOnError)
	if code, done := parseFlags(flags, args, 1, stdout, stderr); done {
		return code
	}
	text, err := input.ReadText(flags.Arg(0), stdin)
	if err != nil {
		return failure.Report(stdout, err)
	}
	found := judge.Check(text)
	message.Write(stdout, map[string]any{"ok": len(found) == 0, "messages": found})
	if len(found) > 0 {
		return failure.ExitUsage
	}
	return failure.ExitOK
}
