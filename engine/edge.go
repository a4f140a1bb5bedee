package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"strings"
	"sync"
	"syscall"
	"time"

	"lkhub/engine/internal/edge"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
	"lkhub/engine/internal/process"
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
		return newFront(text, flags.Lookup("config").Value.String()), nil
	})
}

// settleLimit is how long a start or a reload waits for certificates, so that whoever is told "ready" can connect. One
// of the hub's own CA takes milliseconds; for one that an issuer elsewhere has to make nobody waits.
const settleLimit = time.Second

// front is the edge as an engine: Caddy.
type front struct {
	text string
	path string // "-" can't be read again

	relays *streamRelays

	loading sync.Mutex
	stop    context.CancelFunc
	stopped context.Context
}

func newFront(text, path string) *front {
	stopped, stop := context.WithCancel(context.Background())
	return &front{text: text, path: path, relays: newStreamRelays(), stop: stop, stopped: stopped}
}

func (f *front) Run(ready func()) error {
	if err := f.load(f.text); err != nil {
		return err
	}
	ready()
	<-f.stopped.Done()
	f.loading.Lock() // a reload would start again what is stopped here
	defer f.loading.Unlock()
	return edge.Stop()
}

// load makes a configuration the one that runs; after an error it is still the one before.
func (f *front) load(text string) error {
	f.loading.Lock()
	defer f.loading.Unlock()
	if f.stopped.Err() != nil {
		return nil
	}
	streams, err := readStreams(text)
	if err != nil {
		return err
	}
	// Whatever can fail does so before the configuration is in force.
	change, err := f.relays.prepare(streams)
	if err != nil {
		return err
	}
	if err := edge.Load([]byte(text)); err != nil {
		change.discard()
		return blame(err)
	}
	change.commit()
	settled, cancel := context.WithTimeout(f.stopped, settleLimit)
	defer cancel()
	edge.AwaitCertificates(settled)
	edge.Admit()
	return nil
}

// blame makes what Caddy says of a configuration the caller's fault, and a port that can't be bound the machine's.
func blame(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return err
	}
	// Not failure.Config, which blots out long words: here they are names of fields, and caddy.json holds no secret.
	return failure.New(failure.ExitUsage, "config", "caddy.json: "+strings.TrimPrefix(err.Error(), "loading new config: "))
}

// Reload reads the file anew. Connections go on, and if it is wrong so does what ran before.
func (f *front) Reload() error {
	if f.path == "-" {
		return failure.Config("a configuration from standard input can't be read again")
	}
	text, err := input.ReadText(f.path, nil)
	if err != nil {
		return err
	}
	return f.load(text)
}

// Busy is false with connections open: media drains before, and once its calls are over nobody needs the way there.
func (f *front) Busy() bool { return false }

// Drain does nothing; see Busy.
func (f *front) Drain() {}

func (f *front) Stop() { f.stop() }

func (f *front) Status(ctx context.Context) (map[string]any, error) {
	text, err := json.Marshal(edge.GetStatus())
	if err != nil {
		return nil, err
	}
	var status map[string]any
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, err
	}
	maps.Copy(status, f.relays.status())
	return status, nil
}
