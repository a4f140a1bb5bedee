package main

import (
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
	"lkhub/engine/internal/process"
)

// defaultDrain is how long a stop waits for clients to leave by themselves.
const defaultDrain = 30 * time.Second

// runServer is what media, relay and edge share: flags, signals, and one line on stdout for a failure. register adds
// the flags of one server.
func runServer(name, configName string, register func(*flag.FlagSet), args []string, stdin io.Reader, stdout, stderr io.Writer, build func(text string) (process.Engine, error)) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	configPath := flags.String("config", "", "`file` to read: "+configName)
	control := flags.String("control", "", "`path` of the Unix socket to answer on (engine/README.md)")
	var controlFD process.FDs
	flags.Var(&controlFD, "control-fd", "inherited `number` of a socket that listens at --control already")
	drain := flags.Duration("drain", defaultDrain, "how long a stop by a signal waits for clients to leave, unless POST /drain says it")
	profile := flags.String("cpuprofile", "", "`file` to record a CPU profile in, for scripts/profile")
	register(flags)
	if code, done := parseFlags(flags, args, 0, stdout, stderr); done {
		return code
	}
	if *configPath == "" || *control == "" {
		return failure.Report(stdout, failure.Usage("%s: --config and --control are needed", name))
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	stopProfile, err := process.StartProfile(*profile)
	if err != nil {
		return failure.Report(stdout, err)
	}
	defer stopProfile()
	text, err := input.ReadText(*configPath, stdin)
	if err != nil {
		return failure.Report(stdout, err)
	}
	e, err := build(text)
	if err != nil {
		return failure.Report(stdout, err)
	}
	inherited, err := process.InheritControl(name, controlFD)
	if err != nil {
		return failure.Report(stdout, err)
	}
	if err := process.Serve(e, *control, inherited, *drain, signals); err != nil {
		return failure.Report(stdout, err)
	}
	return failure.ExitOK
}
