package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"
)

// lateness is how long the last packets may take. Later ones are lost.
const lateness = 2 * time.Second

// Conditions are common to all kinds of load.
type Conditions struct {
	Duration time.Duration  // measured from when everything flows
	Roots    *x509.CertPool // authorities that are trusted; nil: this machine's

	// Say is called when the measured time begins and ends, for a program that measures the server meanwhile. It may be
	// nil.
	Say func(text string)
}

func (c Conditions) check(wrong *faults) {
	wrong.add(c.Duration <= 0 || c.Duration > maxDuration, "--duration %s is not between 0 and %s", c.Duration, maxDuration)
}

func (c Conditions) tls() *tls.Config { return &tls.Config{RootCAs: c.Roots} }

// measure returns how long it measured, which is less than asked for if ctx ended earlier.
func (c Conditions) measure(ctx context.Context, clock *clock, what string) time.Duration {
	c.say("measuring: " + what + ", for " + c.Duration.String())
	begin := time.Now()
	clock.start.Store(clock.now())
	select {
	case <-ctx.Done():
	case <-time.After(c.Duration):
	}
	clock.end.Store(clock.now())
	lasted := time.Since(begin)
	c.say("measured")
	return lasted
}

func (c Conditions) say(text string) {
	if c.Say != nil {
		c.Say(text)
	}
}

// awaitStragglers waits until all that was sent has arrived, or is lost.
func awaitStragglers(arrived func() bool) {
	for deadline := time.Now().Add(lateness); time.Now().Before(deadline) && !arrived(); {
		time.Sleep(lateness / 100)
	}
}
