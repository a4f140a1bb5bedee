package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/load"
	"lkhub/engine/internal/message"
	"lkhub/engine/internal/roots"
)

const loadUsage = `usage: lkhub-engine load [flags] | load relay [flags] | load signal [flags]
Makes calls through the server of LIVEKIT_URL, with LIVEKIT_API_KEY and LIVEKIT_API_SECRET, and measures how they are
forwarded: every publisher sends video and audio, every subscriber takes all of its room. Prints one JSON object;
stderr says when the measured time begins and ends. "load relay" loads a TURN server, "load signal" a proxy.`

func runLoad(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "relay" {
		return runLoadRelay(args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == "signal" {
		return runLoadSignal(args[1:], stdout, stderr)
	}
	config := load.Config{
		URL: os.Getenv("LIVEKIT_URL"), Key: os.Getenv("LIVEKIT_API_KEY"), Secret: os.Getenv("LIVEKIT_API_SECRET"),
	}
	kind := loadKind{"load", loadUsage, &config.Conditions, func() error { return config.Check() }, func(ctx context.Context) (any, error) {
		return load.Run(ctx, config)
	}}
	return kind.main(args, stdout, stderr, func(flags *flag.FlagSet) {
		flags.IntVar(&config.Publishers, "publishers", 1, "how many publish")
		flags.IntVar(&config.Subscribers, "subscribers", 1, "how many subscribe")
		flags.IntVar(&config.Rooms, "rooms", 1, "over how many rooms they are dealt")
		flags.IntVar(&config.VideoKbps, "video-kbps", 1500, "video of each publisher in kbit/s; 0 for audio alone")
		flags.IntVar(&config.JoinsAtOnce, "joins-at-once", 8, "how many join at a time")
	})
}

const loadRelayUsage = `usage: lkhub-engine load relay --server URI [flags]
Sends packets through a TURN server, with TURN_USERNAME and TURN_PASSWORD, to a peer of its own that sends each of them
back, and measures what is relayed. Prints one JSON object; stderr says when the measured time begins and ends.`

func runLoadRelay(args []string, stdout, stderr io.Writer) int {
	config := load.RelayConfig{Username: os.Getenv("TURN_USERNAME"), Password: os.Getenv("TURN_PASSWORD")}
	kind := loadKind{"load relay", loadRelayUsage, &config.Conditions, func() error { return config.Check() }, func(ctx context.Context) (any, error) {
		return load.RunRelay(ctx, config)
	}}
	return kind.main(args, stdout, stderr, func(flags *flag.FlagSet) {
		flags.StringVar(&config.Server, "server", "", "`URI` of the server: turn:HOST:PORT?transport=udp or turns:HOST:PORT?transport=tcp")
		flags.StringVar(&config.Peer, "peer", "127.0.0.1:0", "UDP `address` of the peer, which the server may have to allow")
		flags.IntVar(&config.Allocations, "allocations", 8, "how many")
		flags.IntVar(&config.Rate, "rate", 1000, "packets a second, of all allocations together")
		flags.IntVar(&config.Size, "size", 1200, "bytes of a packet")
	})
}

const loadSignalUsage = `usage: lkhub-engine load signal --url URL --back-end HOST:PORT [flags]
Sends WebSocket messages of signalling's size through a proxy to a server of its own that sends each of them back, and
measures what is passed on. Prints one JSON object; stderr says when the measured time begins and ends.`

func runLoadSignal(args []string, stdout, stderr io.Writer) int {
	var config load.SignalConfig
	kind := loadKind{"load signal", loadSignalUsage, &config.Conditions, func() error { return config.Check() }, func(ctx context.Context) (any, error) {
		return load.RunSignal(ctx, config)
	}}
	return kind.main(args, stdout, stderr, func(flags *flag.FlagSet) {
		flags.StringVar(&config.URL, "url", "", "where the proxy answers, with the path")
		flags.StringVar(&config.BackEnd, "back-end", "", "`address` where the proxy looks for the server behind it")
		flags.IntVar(&config.Connections, "connections", 16, "how many, each with one message on its way at a time")
	})
}

// loadKind is one kind of load; check and run see what the flags have made of its configuration.
type loadKind struct {
	name, usage string
	conditions  *load.Conditions
	check       func() error
	run         func(context.Context) (any, error)
}

// main runs the load to its end or until a signal, and prints its report. register adds the flags that only it has.
func (k loadKind) main(args []string, stdout, stderr io.Writer, register func(*flag.FlagSet)) int {
	k.conditions.Say = func(text string) { fmt.Fprintln(stderr, text) }
	flags := flag.NewFlagSet(k.name, flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(stderr, k.usage)
		flags.PrintDefaults()
	}
	register(flags)
	flags.DurationVar(&k.conditions.Duration, "duration", 10*time.Second, "how long to measure, once everything flows")
	authorities := flags.String("ca-file", "", "authorities in PEM to believe besides this machine's")
	if code, done := parseFlags(flags, args, 0, stdout, stderr); done {
		return code
	}
	if err := k.check(); err != nil {
		return failure.Report(stdout, failure.Usage("%s: %v", k.name, err))
	}
	var err error
	if k.conditions.Roots, err = roots.With(*authorities); err != nil {
		return failure.Report(stdout, failure.Usage("%s: --ca-file: %v", k.name, err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	result, err := k.run(ctx)
	if err != nil {
		return failure.Report(stdout, failure.New(failure.ExitNotWell, "load", err.Error()))
	}
	message.Write(stdout, result)
	return failure.ExitOK
}
