// Package load makes calls and measures how they are forwarded: every publisher sends video and audio, every
// subscriber takes all that its room has. It must cost less than the server that it measures, so subscribers
// count packets where pion decrypts them.
package load

import (
	"errors"
	"fmt"
	"time"
)

// Limits keep a mistyped number from becoming an attack on one's own hub.
const (
	maxDuration     = 5 * time.Minute
	maxParticipants = 500
	maxVideoKbps    = 20_000
)

// Config is what to generate. Publishers and subscribers are dealt to the rooms in turn.
type Config struct {
	URL, Key, Secret string

	Publishers, Subscribers, Rooms int
	VideoKbps                      int // of each publisher; 0 is audio alone
	Duration                       time.Duration

	// Say hears when the measured time begins and ends, for those who measure the server meanwhile. It may be nil.
	Say func(text string)
}

// Check reports everything that is wrong at once.
func (c Config) Check() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.URL == "", "LIVEKIT_URL is not set")
	fault(c.Key == "", "LIVEKIT_API_KEY is not set")
	fault(c.Secret == "", "LIVEKIT_API_SECRET is not set")
	fault(c.Publishers < 1, "--publishers %d: at least one is needed", c.Publishers)
	fault(c.Subscribers < 1, "--subscribers %d: at least one is needed", c.Subscribers)
	fault(c.Publishers+c.Subscribers > maxParticipants,
		"--publishers and --subscribers: %d are more than %d", c.Publishers+c.Subscribers, maxParticipants)
	fault(c.Rooms < 1 || c.Rooms > min(c.Publishers, c.Subscribers),
		"--rooms %d: each needs a publisher and a subscriber", c.Rooms)
	fault(c.VideoKbps < 0 || c.VideoKbps > maxVideoKbps, "--video-kbps %d is not between 0 and %d", c.VideoKbps, maxVideoKbps)
	fault(c.Duration <= 0 || c.Duration > maxDuration, "--duration %s is not between 0 and %s", c.Duration, maxDuration)
	return errors.Join(faults...)
}

func (c Config) say(format string, args ...any) {
	if c.Say != nil {
		c.Say(fmt.Sprintf(format, args...))
	}
}

// tracks is how many each publisher publishes.
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

// dealt is how many of n, dealt in turn to as many hands, the given one gets.
func dealt(n, hands, hand int) int { return (n + hands - 1 - hand) / hands }
