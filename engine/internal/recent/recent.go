// Package recent has a set that forgets old members.
package recent

import (
	"math"
	"time"
)

const (
	// Kept is how long a member is remembered at least: LiveKit's TURN credentials are valid for 4 hours.
	Kept = 4 * time.Hour

	// Most limits how many members are remembered, however many are added in that time: at most twice this number.
	Most = 50_000

	// Forever is for members that are forgotten only when there are too many others.
	Forever time.Duration = math.MaxInt64
)

// Set is a set that forgets old members. It has no lock.
type Set[T comparable] struct {
	current, before map[T]struct{}
	turned          time.Time
	most            int
	kept            time.Duration
}

// New keeps each member for at least this time, unless `most` others are added meanwhile. At most twice as many are
// kept.
func New[T comparable](most int, kept time.Duration) Set[T] {
	return Set[T]{current: map[T]struct{}{}, before: map[T]struct{}{}, most: most, kept: kept}
}

// Add remembers a member.
func (r *Set[T]) Add(member T, now time.Time) {
	if r.turned.IsZero() {
		r.turned = now
	}
	_, known := r.current[member]
	if now.Sub(r.turned) >= r.kept || !known && len(r.current) >= r.most {
		r.before, r.current, r.turned = r.current, map[T]struct{}{}, now
	}
	r.current[member] = struct{}{}
}

// Has says whether a member is remembered.
func (r *Set[T]) Has(member T) bool {
	if _, ok := r.current[member]; ok {
		return true
	}
	_, ok := r.before[member]
	return ok
}

// CountFresh is how many different members are not yet in the set.
func (r *Set[T]) CountFresh(members []T) int {
	fresh := map[T]struct{}{}
	for _, member := range members {
		if !r.Has(member) {
			fresh[member] = struct{}{}
		}
	}
	return len(fresh)
}

// Len is the highest number of members that there can be: a member in both halves is counted twice.
func (r *Set[T]) Len() int { return len(r.current) + len(r.before) }
