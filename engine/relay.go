package main

import (
	"flag"
	"io"
	"math"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/process"
	"lkhub/engine/internal/relay"
)

func runRelay(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runServer("relay", "relay.json", func(*flag.FlagSet) {}, args, stdin, stdout, stderr, func(text string) (process.Engine, error) {
		config, secret, err := relay.ReadConfig("relay.json", text, true)
		if err != nil {
			return nil, err
		}
		return relay.New(config, secret, nil, relay.NewBounds(connlimit.ForFiles(1, math.MaxUint16))), nil
	})
}
