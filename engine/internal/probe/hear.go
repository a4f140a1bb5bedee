package probe

import (
	"context"
	"fmt"
	"time"
)

const (
	// lateness is how late a sent packet may arrive before it counts as lost.
	lateness = 300 * time.Millisecond
	// longer is how much longer the measurement takes if packets are missing, late or uneven. A figure from a short
	// time is a matter of luck, and a busy moment of this machine says nothing about the line.
	longer = 1600 * time.Millisecond
	// picturePatience is how long the first packet of the picture may take after the first of the sound: the server
	// begins to forward the picture a moment later.
	picturePatience = 2 * time.Second
	// slow and uneven are what people may begin to hear; lkhub/checks/line.py has the reasons.
	slow   = 150 * time.Millisecond
	uneven = 30 * time.Millisecond
	// unusable is a loss with which no call is possible: a quarter of all packets.
	unusable = 0.25
)

// hear goes through the stage media: the first packets of sound and picture prove it, and the time after them is
// measured.
func (c *call) hear(ctx context.Context) *fault {
	if f := c.hearSound(ctx); f != nil {
		return f
	}
	seen, f := c.seePicture(ctx)
	if f != nil {
		return f
	}
	streams := []*stream{c.sound}
	if seen {
		streams = append(streams, c.picture)
	}
	c.measure(ctx, c.media)
	if lost(ctx, streams) > 0 || c.shortest >= slow || c.sound.jitter() >= uneven {
		c.measure(ctx, longer)
		lost(ctx, streams)
	}
	return c.judgeMedia(seen)
}

// measure lets media flow and takes the shortest round trip, since all others include a wait somewhere.
func (c *call) measure(ctx context.Context, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		c.noteRoundTrip()
		wait(ctx, min(keepalive/2, time.Until(end)))
	}
	c.noteRoundTrip()
}

func (c *call) noteRoundTrip() {
	if _, rtt := c.participants[0].Publisher.Pair(); rtt > 0 && (c.shortest == 0 || rtt < c.shortest) {
		c.shortest = rtt
	}
}

func (c *call) hearSound(ctx context.Context) *fault {
	publisher, subscriber := c.participants[0], c.participants[1]
	select {
	case <-c.sound.arrived:
		return nil
	case <-publisher.Ended():
		return failed(StageMedia, SessionLost, "publisher: %s", redact(publisher.Err().Error(), c.tokens))
	case <-subscriber.Ended():
		return failed(StageMedia, SessionLost, "subscriber: %s", redact(subscriber.Err().Error(), c.tokens))
	case <-ctx.Done():
		if !closed(publisher.Published(c.sound.track.ID())) {
			return failed(StageMedia, NotAccepted, "both sides are connected, but the server did not accept the publisher's track")
		}
		return failed(StageMedia, NothingHeard, "both sides are connected, but none of the %d packets that were sent arrived", c.sound.lastSent()+1)
	}
}

// seePicture waits for the picture. It returns false if the server takes none, as its codecs or the token may forbid
// it.
func (c *call) seePicture(ctx context.Context) (bool, *fault) {
	if !c.shows {
		return false, nil
	}
	select {
	case <-c.picture.arrived:
		return true, nil
	case <-time.After(picturePatience):
	case <-ctx.Done():
	}
	if !closed(c.participants[0].Published(c.picture.track.ID())) {
		return false, nil
	}
	missing, of := c.sound.missing(c.sound.lastSent())
	return false, failed(StageMedia, NoPicture,
		"the subscriber heard %d of %d small packets, and none of the %d of a picture's size, %d bytes, that were sent",
		of-missing, of, c.picture.lastSent()+1, pictureSize)
}

// lost notes all packets that were sent until now, waits for late ones, and returns how many are then missing.
func lost(ctx context.Context, streams []*stream) int {
	for _, s := range streams {
		s.until = s.lastSent()
	}
	count := func() (all int) {
		for _, s := range streams {
			missing, _ := s.missing(s.until)
			all += missing
		}
		return all
	}
	missing := count()
	for deadline := time.Now().Add(lateness); missing > 0 && time.Now().Before(deadline) && ctx.Err() == nil; missing = count() {
		wait(ctx, packetInterval/4)
	}
	return missing
}

// judgeMedia records what was measured.
func (c *call) judgeMedia(seen bool) *fault {
	missing, of := c.sound.missing(c.sound.until)
	c.result.Loss = ratio(float64(missing) / float64(of))
	c.result.JitterMS, c.result.LatenessMS = milliseconds(c.sound.jitter()), milliseconds(c.sound.lateness())
	worst, detail := *c.result.Loss, fmt.Sprintf("the subscriber heard the publisher: %d of %d packets", of-missing, of)
	if seen {
		missing, of := c.picture.missing(c.picture.until)
		c.result.PictureLoss = ratio(float64(missing) / float64(of))
		worst = max(worst, *c.result.PictureLoss)
		detail += fmt.Sprintf(", and saw it: %d of %d packets of %d bytes", of-missing, of, pictureSize)
	} else {
		detail += "; a picture was not tried, since the server did not take one"
	}
	if worst >= unusable {
		return failed(StageMedia, TooLossy, "%s", detail)
	}
	publisher := c.participants[0].Publisher
	ok := true
	c.result.OK, c.result.Stage, c.result.Detail = &ok, StageMedia, detail
	if pair, _ := publisher.Pair(); pair != nil && !c.route.RelayOnly {
		if detail, untold := explainUntold(pair.Remote, publisher.Paths()); untold != "" {
			c.result.Detail += detail
			c.result.Evidence = map[string]string{"untold": untold}
		}
	}
	return nil
}
