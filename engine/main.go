// Command lkhub-engine runs the libraries that make up a hub, such as LiveKit's server and the TURN relay, and
// answers the supervisor's questions. stdout is data (JSON), stderr is for people, and no failure exits 0.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"lkhub/engine/internal/failure"
)

// command is one subcommand. run returns the exit code, after its result or its failure was written to stdout.
type command struct {
	name    string
	summary string
	run     func(args []string, stdin io.Reader, stdout, stderr io.Writer) int
}

var commands = []command{
	{"media", "run the SFU (livekit-server)", runMedia},
	{"edge", "run the hub's edge: TLS, certificates, routing (Caddy), and TURN over TLS", runEdge},
	{"relay", "run the hub's TURN and STUN server over UDP", runRelay},
	{"check-config", "judge a livekit.yaml as the server would, without any network access", runCheckConfig},
	{"probe", "make a real call through each ICE path", runProbe},
	{"load", "make calls and measure how they are forwarded", runLoad},
	{"stun", "ask a STUN server for the address that it sees", runSTUN},
	{"portmap", "ask the home router for port mappings (PCP, NAT-PMP, UPnP)", runPortmap},
	{"encrypt", "encrypt a backup in the format of age", runEncrypt},
	{"decrypt", "decrypt a file that encrypt or age has written", runDecrypt},
	{"version", "print the versions built in", runVersion},
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "%v\n%s", r, debug.Stack())
			code = failure.Report(stdout, failure.Bug(r))
		}
	}()
	if len(args) == 0 {
		usage(stderr)
		return failure.Report(stdout, failure.Usage("a subcommand is missing; lkhub-engine help lists them"))
	}
	switch args[0] {
	case "help", "-h", "--help":
		usage(stderr)
		return failure.ExitOK
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(args[1:], stdin, stdout, stderr)
		}
	}
	usage(stderr)
	return failure.Report(stdout, failure.Usage("there is no subcommand %q; lkhub-engine help lists them", args[0]))
}

func usage(stderr io.Writer) {
	fmt.Fprintln(stderr, "usage: lkhub-engine COMMAND [flags]")
	for _, c := range commands {
		fmt.Fprintf(stderr, "  %-13s %s\n", c.name, c.summary)
	}
}

// parseFlags fills flags from args, and expects as many arguments after them as operands says. done means that there is
// nothing more to do: help was asked for, or the usage was wrong and is reported.
func parseFlags(flags *flag.FlagSet, args []string, operands int, stdout, stderr io.Writer) (code int, done bool) {
	flags.Init(flags.Name(), flag.ContinueOnError)
	flags.SetOutput(stderr)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return failure.ExitOK, true
	case err != nil:
		return failure.Report(stdout, failure.Usage("%s: %v", flags.Name(), err)), true
	case flags.NArg() != operands:
		flags.Usage()
		return failure.Report(stdout, failure.Usage("%s: %d arguments after the flags, wanted %d", flags.Name(), flags.NArg(), operands)), true
	}
	return failure.ExitOK, false
}
