package main

import (
	"math"
	"time"
)

const (
	// recentKept is how long something is remembered at least: LiveKit's credentials for TURN are good for 4 hours.
	recentKept = 4 * time.Hour

	// recentMost bounds what is remembered, however many come in that time: at most twice as many.
	recentMost = 50_000

	// forever is for members that are forgotten for others alone.
	forever time.Duration = math.MaxInt64
)

// recent is a set whose members are forgotten by and by. It has no lock.
type recent[T comparable] struct {
	current, before map[T]struct{}
	turned          time.Time
	most            int
	kept            time.Duration
}

// newRecent keeps a member for the time at least, unless as many others came meanwhile: at most twice as many are kept.
func newRecent[T comparable](most int, kept time.Duration) recent[T] {
	return recent[T]{current: map[T]struct{}{}, before: map[T]struct{}{}, most: most, kept: kept}
}

func (r *recent[T]) add(member T, now time.Time) {
	if r.turned.IsZero() {
		r.turned = now
	}
	_, known := r.current[member]
	if now.Sub(r.turned) >= r.kept || !known && len(r.current) >= r.most {
		r.before, r.current, r.turned = r.current, map[T]struct{}{}, now
	}
	r.current[member] = struct{}{}
}

func (r *recent[T]) has(member T) bool {
	if _, ok := r.current[member]; ok {
		return true
	}
	_, ok := r.before[member]
	return ok
}

// countFresh is how many of the members, each counted once, are not in the set.
func (r *recent[T]) countFresh(members []T) int {
	fresh := map[T]struct{}{}
	for _, member := range members {
		if !r.has(member) {
			fresh[member] = struct{}{}
		}
	}
	return len(fresh)
}
