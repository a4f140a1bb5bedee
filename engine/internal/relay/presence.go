package relay

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lkhub/engine/internal/roster"
)

const (
	// askEvery is how often media is asked who is in, while anybody holds a relay port.
	askEvery = time.Second

	// askPause is for what comes together: a participant makes its allocations within milliseconds.
	askPause = 100 * time.Millisecond

	// unknownFor is how long a participant may be unknown to a media process that answers. It knows all
	// that it lets in within milliseconds, and those of the process before it can't go on without joining again.
	unknownFor = 30 * time.Second
)

// run asks media who is in, and ends the allocations of those who have left. Where media can't be asked nothing is known,
// and what there is stays.
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

// list is the media process to ask, and the participants to ask it about. Meanwhile it notes which allocations were used.
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

// judge takes in what media has said of those that it was asked about, and returns the allocations that are to end.
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

// crowding is what identities hold over their bounds: the newest participants' first, and nothing that has carried a
// call. They were given it before media was asked.
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
