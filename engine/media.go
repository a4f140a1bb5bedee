package main

import (
	"flag"
	"io"
	"slices"

	"lkhub/engine/internal/judge"
	"lkhub/engine/internal/process"
	"lkhub/engine/internal/sfu"
)

func runMedia(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var fds process.FDs
	var told sfu.Advertised
	register := func(flags *flag.FlagSet) {
		flags.Var(&fds, "listen-fd", "inherited `number` of a listening socket to use instead of the configured port; may be repeated")
		flags.Var(&told, "advertise", "`LOCAL=EXTERNAL`: what clients are told for an address of this machine, instead of what node_ip says; "+
			"addresses without one are not offered; may be repeated")
	}
	return runServer("media", "livekit.yaml", register, args, stdin, stdout, stderr, func(text string) (process.Engine, error) {
		// This is the same check as check-config's, so that all faults are reported at once. But livekit.yaml need not name
		// a key for webhooks: the current key signs them, also after a rotation.
		messages := slices.DeleteFunc(judge.Check(text), func(m judge.Message) bool { return m.Code == judge.NoWebhookKey })
		if len(messages) > 0 {
			return nil, messages.Failure()
		}
		opened, err := process.Inherit("media", fds)
		if err != nil {
			return nil, err
		}
		return sfu.New(text, opened, told), nil
	})
}
