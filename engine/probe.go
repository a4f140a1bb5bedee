package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/message"
	"lkhub/engine/internal/probe"
)

const probeUsage = `usage: lkhub-engine probe < request.json
Joins as two participants for each path, and proves that media flows through that kind of path alone. The request:
  {"url": "ws://127.0.0.1:7880", "timeout_ms": 10000, "media_ms": 400,
   "paths": [{"path": "udp|tcp|turn-udp|turn-tls", "tokens": ["JWT of a publisher", "JWT of a subscriber"]}],
   "resolve": {"NAME or address": "address where it is from here"}, "ca_file": "authorities to trust besides this machine's"}
It prints a JSON line for each path when it is known.
Exit code: 0 every path works, 1 one does not or could not be tried, 2 the request is wrong.`

func runProbe(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(stderr, probeUsage) }
	if code, done := parseFlags(flags, args, 0, stdout, stderr); done {
		return code
	}
	request, err := probe.ReadRequest(stdin)
	if err != nil {
		return failure.Report(stdout, failure.New(failure.ExitUsage, "request", err.Error()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	code := failure.ExitOK
	probe.Run(ctx, request, func(result probe.Result) {
		if result.OK == nil || !*result.OK {
			code = failure.ExitNotWell
		}
		message.Write(stdout, result)
	})
	return code
}
