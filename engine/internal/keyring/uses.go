package keyring

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// mostCallers is how many callers of one key are remembered: whoever comes most rarely with an old key came last
	// long ago, and the list must not grow with the participants of a large hub.
	mostCallers = 50

	// mostText is how much of a text that a token or a request contains is kept.
	mostText = 256
)

// Kind is what a request is for.
type Kind string

const (
	Join  Kind = "join"  // a participant connects, for the first time or again
	API   Kind = "api"   // RoomService and the other server APIs
	Agent Kind = "agent" // an agent worker registers, or an agent's endpoint is called
	WHIP  Kind = "whip"
	Other Kind = "other"
)

// Caller came with a key. Identity is that of the token, "" in most tokens of servers.
type Caller struct {
	Kind     Kind   `json:"kind"`
	Address  string `json:"address"`
	Identity string `json:"identity"`
}

// Use is a caller's last request with a key, and how many there were.
type Use struct {
	Caller
	Count int     `json:"count"`
	At    float64 `json:"at"` // epoch seconds
}

// KeyUses tells how a key was used since this process started: how many requests there were with it, and the latest
// callers, the last one first.
type KeyUses struct {
	ID      string `json:"id"`
	Count   int    `json:"count"`
	Callers []Use  `json:"callers"`
}

// Uses records which callers came with which key. Only accepted requests are recorded, so that no stranger can fill it.
type Uses struct {
	clock func() time.Time

	mu   sync.Mutex
	keys map[string]*used
}

type used struct {
	count   int
	callers map[Caller]*Use
}

// NewUses records no use yet.
func NewUses(clock func() time.Time) *Uses { return &Uses{clock: clock, keys: map[string]*used{}} }

// Add records a request that was accepted with this key.
func (u *Uses) Add(key string, by Caller) {
	by.Address, by.Identity = shorten(by.Address), shorten(by.Identity)
	at := float64(u.clock().UnixMilli()) / 1000
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.keys[key]
	if of == nil {
		of = &used{callers: map[Caller]*Use{}}
		u.keys[key] = of
	}
	of.count++
	use := of.callers[by]
	if use == nil {
		if len(of.callers) >= mostCallers {
			delete(of.callers, of.oldest())
		}
		use = &Use{Caller: by}
		of.callers[by] = use
	}
	use.Count, use.At = use.Count+1, at
}

func (u *used) oldest() Caller {
	var found Caller
	first := true
	for caller, use := range u.callers {
		if first || use.At < u.callers[found].At {
			found, first = caller, false
		}
	}
	return found
}

// Forget drops what is known of a key.
func (u *Uses) Forget(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.keys, key)
}

// Of tells the uses of these keys, in the same order.
func (u *Uses) Of(keys []Key) []KeyUses {
	u.mu.Lock()
	defer u.mu.Unlock()
	told := []KeyUses{}
	for _, key := range keys {
		each := KeyUses{ID: key.ID, Callers: []Use{}}
		if of := u.keys[key.ID]; of != nil {
			each.Count = of.count
			for _, use := range of.callers {
				each.Callers = append(each.Callers, *use)
			}
			slices.SortFunc(each.Callers, func(a, b Use) int {
				return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Identity, b.Identity), cmp.Compare(a.Address, b.Address))
			})
		}
		told = append(told, each)
	}
	return told
}

func shorten(text string) string {
	if len(text) <= mostText {
		return text
	}
	return text[:mostText]
}
