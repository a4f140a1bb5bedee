package relay

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lkhub/engine/internal/roster"
)

const (
	// askEvery is how often media is asked which participants are in, while any of them holds a relay port.
	askEvery = time.Second

	// askPause collects requests that come together: a participant makes all its allocations within milliseconds.
	askPause = 100 * time.Millisecond

	// unknownFor is how long media may answer that it doesn't know a participant. It knows every participant within
	// milliseconds of letting it in, and participants of an earlier media process must join again.
	unknownFor = 30 * time.Second
)

// run asks media which participants are in, and ends the allocations of those that have left. While media can't be
// asked, nothing is known, and all allocations stay.
func (b *Bounds) run(ctx context.Context) {
	for {
		var again <-chan time.Time
		if b.isHeld() {
			again = time.After(askEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-b.woken:
			select {
			case <-ctx.Done():
				return
			case <-time.After(askPause):
			}
		}
		b.look(ctx)
	}
}

func (b *Bounds) look(ctx context.Context) {
	roster, asked := b.list()
	if roster == nil || len(asked) == 0 {
		return
	}
	said, err := roster.Ask(ctx, asked)
	if err != nil {
		return // media is being started again, or is another program
	}
	for _, conn := range b.judge(asked, said) {
		_ = conn.Close()
	}
}

func (b *Bounds) isHeld() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.participants) > 0
}

// list returns the media process to ask and the participants to ask about. It also notes which allocations were used.
func (b *Bounds) list() (*roster.Client, []string) {
	b.mu.Lock()
	participants := make([]string, 0, len(b.participants))
	var conns []*peerConn
	for participant, p := range b.participants {
		participants = append(participants, participant)
		conns = append(conns, p.all()...)
	}
	roster := b.roster
	b.mu.Unlock()
	for _, conn := range conns {
		conn.lastCarried(b.clock())
	}
	return roster, participants
}

// judge applies media's answer about the participants in asked, and returns the allocations that must end.
func (b *Bounds) judge(asked []string, said roster.Presence) []*peerConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	b.asked = now
	left := map[string]struct{}{}
	for _, participant := range said.Left {
		left[participant] = struct{}{}
	}
	var ending []*peerConn
	for _, participant := range asked {
		p := b.participants[participant]
		if p == nil {
			continue
		}
		identity, in := said.In[participant]
		_, hasLeft := left[participant]
		if p.in = in; in {
			p.identity, p.unknown = identity, time.Time{}
			continue
		}
		if p.unknown.IsZero() {
			p.unknown = now
		}
		if hasLeft || now.Sub(p.unknown) >= unknownFor {
			b.gone.Add(participant, now)
			ending = append(ending, p.all()...)
		}
	}
	return append(ending, b.crowding()...)
}

// crowding returns the allocations by which identities exceed their bounds: those of the newest participants, and only
// such as have carried no call. They were made before media was asked.
func (b *Bounds) crowding() []*peerConn {
	byIdentity := map[string][]*participant{}
	for _, p := range b.participants {
		if p.in {
			byIdentity[p.identity] = append(byIdentity[p.identity], p)
		}
	}
	var ending []*peerConn
	for _, all := range byIdentity {
		over := -identityQuotas * b.quota
		for _, p := range all {
			over += p.held
		}
		slices.SortFunc(all, func(x, y *participant) int { return cmp.Compare(y.since.UnixNano(), x.since.UnixNano()) })
		for _, p := range all {
			for conn := range p.conns {
				if over > 0 && conn.lastCarried(b.clock()).IsZero() {
					ending = append(ending, conn)
					over--
				}
			}
		}
	}
	return ending
}

func (p *participant) all() []*peerConn {
	conns := make([]*peerConn, 0, len(p.conns))
	for conn := range p.conns {
		conns = append(conns, conn)
	}
	return conns
}
