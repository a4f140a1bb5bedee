package main

import (
	"flag"
	"io"
	"time"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/message"
	"lkhub/engine/internal/stun"
)

// A STUN server that answers does so in a fraction of this time, even if packets are lost and sent again.
const defaultSTUNTimeout = 3 * time.Second

// runSTUN asks one STUN server for the address that it sees: {"version": 1, "address": "203.0.113.5"}.
func runSTUN(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("stun", flag.ContinueOnError)
	server := flags.String("server", "", "`host:port` of the STUN server; besides it, only a name server is asked")
	network := flags.String("network", "udp4", "udp4 or udp6")
	timeout := flags.Duration("timeout", defaultSTUNTimeout, "how long to wait for an answer")
	if code, done := parseFlags(flags, args, 0, stdout, stderr); done {
		return code
	}
	if *server == "" || (*network != "udp4" && *network != "udp6") {
		return failure.Report(stdout, failure.Usage("stun: --server is needed, and --network is udp4 or udp6"))
	}
	address, err := stun.Ask(*network, *server, *timeout)
	if err != nil {
		return failure.Report(stdout, failure.New(failure.ExitNotWell, "no-answer", err.Error()))
	}
	message.Write(stdout, map[string]string{"address": address.String()})
	return failure.ExitOK
}
