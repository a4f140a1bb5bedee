package recent

import (
	"testing"
	"time"
)

func TestRecentForgetsByAndBy(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := New[int](Most, Kept)
	r.Add(1, now)
	for _, c := range []struct {
		after time.Duration
		known bool
	}{{Kept - time.Second, true}, {Kept, true}, {2 * Kept, false}} {
		r.Add(2, now.Add(c.after))
		if r.Has(1) != c.known {
			t.Errorf("after %s: %v", c.after, r.Has(1))
		}
	}
	if r.Has(3) {
		t.Error("an entry that was never added")
	}
}

func TestRecentIsBounded(t *testing.T) {
	r, now := New[int](Most, Kept), time.Now()
	for i := range 10 * Most {
		r.Add(i, now)
	}
	if n := r.Len(); n > 2*Most {
		t.Errorf("%d are remembered", n)
	}
	if last := 10*Most - 1; !r.Has(last) || !r.Has(last-Most) {
		t.Error("the last are forgotten")
	}
}
