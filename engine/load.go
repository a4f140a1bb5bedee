package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lkhub/engine/internal/load"
)

const loadUsage = `usage: lkhub-engine load [flags]
Makes calls through the server of LIVEKIT_URL, with LIVEKIT_API_KEY and LIVEKIT_API_SECRET, and measures how they are
forwarded: every publisher sends video and audio, every subscriber takes all of its room. Prints one JSON object;
stderr says when the measured time begins and ends.`

func runLoad(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	config := load.Config{
		URL: os.Getenv("LIVEKIT_URL"), Key: os.Getenv("LIVEKIT_API_KEY"), Secret: os.Getenv("LIVEKIT_API_SECRET"),
		Say: func(text string) { fmt.Fprintln(stderr, text) },
	}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(stderr, loadUsage)
		flags.PrintDefaults()
	}
	flags.IntVar(&config.Publishers, "publishers", 1, "how many publish")
	flags.IntVar(&config.Subscribers, "subscribers", 1, "how many subscribe")
	flags.IntVar(&config.Rooms, "rooms", 1, "over how many rooms they are dealt")
	flags.IntVar(&config.VideoKbps, "video-kbps", 1500, "video of each publisher in kbit/s; 0 for audio alone")
	flags.DurationVar(&config.Duration, "duration", 10*time.Second, "how long to measure, once everybody hears everybody")
	if code, done := parseFlags(flags, args, 0, stdout, stderr); done {
		return code
	}
	if err := config.Check(); err != nil {
		return report(stdout, badUsage("load: %v", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	result, err := load.Run(ctx, config)
	if err != nil {
		return report(stdout, &failure{exitNotWell, "load", err.Error()})
	}
	_ = json.NewEncoder(stdout).Encode(result)
	return exitOK
}
