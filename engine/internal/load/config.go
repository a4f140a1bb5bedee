// Package load measures how much a hub can carry. Run makes calls: every publisher sends video and audio, and every
// subscriber receives all tracks of its room. RunRelay sends packets through a TURN server, and RunSignal sends
// messages through a proxy. The load must cost less than the measured server, so subscribers count packets where pion
// decrypts them.
package load

import (
	"errors"
	"fmt"
	"time"
)

// Limits keep a mistyped number from overloading the user's own hub.
const (
	maxDuration     = 5 * time.Minute
	maxParticipants = 500
	maxVideoKbps    = 20_000
)

// Config is the load to generate. Publishers and subscribers are dealt to the rooms in turn.
type Config struct {
	URL, Key, Secret string

	Publishers, Subscribers, Rooms int
	VideoKbps                      int // of each publisher; 0: only audio
	JoinsAtOnce                    int
	Conditions
}

// Check reports everything that is wrong at once.
func (c Config) Check() error {
	var wrong faults
	wrong.add(c.URL == "", "LIVEKIT_URL is not set")
	wrong.add(c.Key == "", "LIVEKIT_API_KEY is not set")
	wrong.add(c.Secret == "", "LIVEKIT_API_SECRET is not set")
	wrong.add(c.Publishers < 1, "--publishers %d: at least one is needed", c.Publishers)
	wrong.add(c.Subscribers < 1, "--subscribers %d: at least one is needed", c.Subscribers)
	wrong.add(c.Publishers+c.Subscribers > maxParticipants,
		"--publishers and --subscribers: %d are more than %d", c.Publishers+c.Subscribers, maxParticipants)
	wrong.add(c.Rooms < 1 || c.Rooms > min(c.Publishers, c.Subscribers),
		"--rooms %d: each needs a publisher and a subscriber", c.Rooms)
	wrong.add(c.VideoKbps < 0 || c.VideoKbps > maxVideoKbps, "--video-kbps %d is not between 0 and %d", c.VideoKbps, maxVideoKbps)
	wrong.add(c.JoinsAtOnce < 1, "--joins-at-once %d: at least one is needed", c.JoinsAtOnce)
	c.Conditions.check(&wrong)
	return errors.Join(wrong...)
}

// tracks is how many tracks each publisher publishes.
func (c Config) tracks() int {
	if c.VideoKbps == 0 {
		return 1
	}
	return 2
}

// publishersIn is how many publishers a room has.
func (c Config) publishersIn(room int) int { return dealt(c.Publishers, c.Rooms, room) }

// subscribersIn is how many subscribers a room has.
func (c Config) subscribersIn(room int) int { return dealt(c.Subscribers, c.Rooms, room) }

// dealt is how many of n the given hand gets, when they are dealt in turn to `hands` hands.
func dealt(n, hands, hand int) int { return (n + hands - 1 - hand) / hands }

// faults collects everything that is wrong, so that it is reported at once.
type faults []error

func (f *faults) add(wrong bool, format string, args ...any) {
	if wrong {
		*f = append(*f, fmt.Errorf(format, args...))
	}
}
