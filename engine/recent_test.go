package main

import (
	"testing"
	"time"
)

func TestRecentForgetsByAndBy(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := newRecent[int](recentMost, recentKept)
	r.add(1, now)
	for _, c := range []struct {
		after time.Duration
		known bool
	}{{recentKept - time.Second, true}, {recentKept, true}, {2 * recentKept, false}} {
		r.add(2, now.Add(c.after))
		if r.has(1) != c.known {
			t.Errorf("after %s: %v", c.after, r.has(1))
		}
	}
	if r.has(3) {
		t.Error("somebody who was never there")
	}
}

func TestRecentIsBounded(t *testing.T) {
	r, now := newRecent[int](recentMost, recentKept), time.Now()
	for i := range 10 * recentMost {
		r.add(i, now)
	}
	if n := len(r.current) + len(r.before); n > 2*recentMost {
		t.Errorf("%d are remembered", n)
	}
	if last := 10*recentMost - 1; !r.has(last) || !r.has(last-recentMost) {
		t.Error("the last are forgotten")
	}
}
