package main

import (
	"flag"
	"io"

	"lkhub/engine/internal/edge"
	"lkhub/engine/internal/process"
	"lkhub/engine/internal/relay"
)

func runEdge(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var flags *flag.FlagSet
	var fds process.FDs
	register := func(set *flag.FlagSet) {
		flags = set
		set.Var(&fds, "listen-fd", "inherited `number` of a listening socket to use where caddy.json names its address; may be repeated")
	}
	return runServer("edge", "caddy.json", register, args, stdin, stdout, stderr, func(text string) (process.Engine, error) {
		opened, err := process.Inherit("edge", fds)
		if err != nil {
			return nil, err
		}
		edge.Inherit(opened)
		return edge.NewServer(text, flags.Lookup("config").Value.String(), relay.NewStreams()), nil
	})
}
