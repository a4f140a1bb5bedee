package main

import "time"

const (
	// recentKept is how long something is remembered at least: LiveKit's credentials for TURN are good for 4 hours.
	recentKept = 4 * time.Hour

	// recentMost bounds what is remembered, however many come in that time: at most twice as many.
	recentMost = 50_000
)

// recent is a set whose members are forgotten by and by. It has no lock.
type recent[T comparable] struct {
	current, before map[T]struct{}
	turned          time.Time
}

func newRecent[T comparable]() recent[T] {
	return recent[T]{current: map[T]struct{}{}, before: map[T]struct{}{}}
}

func (r *recent[T]) add(member T, now time.Time) {
	if r.turned.IsZero() {
		r.turned = now
	}
	if now.Sub(r.turned) >= recentKept || len(r.current) >= recentMost {
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
