// Package recent has a set that forgets by and by.
package recent

import (
	"math"
	"time"
)

const (
	// Kept is how long something is remembered at least: LiveKit's credentials for TURN are good for 4 hours.
	Kept = 4 * time.Hour

	// Most bounds what is remembered, however many come in that time: at most twice as many.
	Most = 50_000

	// Forever is for members that are forgotten for others alone.
	Forever time.Duration = math.MaxInt64
)

// Set is a set whose members are forgotten by and by. It has no lock.
type Set[T comparable] struct {
	current, before map[T]struct{}
	turned          time.Time
	most            int
	kept            time.Duration
}

// New keeps a member for the time at least, unless as many others came meanwhile: at most twice as many are kept.
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

// CountFresh is how many of the members, each counted once, are not in the set.
func (r *Set[T]) CountFresh(members []T) int {
	fresh := map[T]struct{}{}
	for _, member := range members {
		if !r.Has(member) {
			fresh[member] = struct{}{}
		}
	}
	return len(fresh)
}

// Len is how many there are at most: what is in both halves is counted twice.
func (r *Set[T]) Len() int { return len(r.current) + len(r.before) }
