package keyring

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// clock ticks once a second whenever it is read.
func clock() func() time.Time {
	now := time.Unix(1000, 0)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

func TestUsesTellWhoCameLast(t *testing.T) {
	uses := NewUses(clock())
	alice, bob := Caller{Join, "192.0.2.1", "alice"}, Caller{API, "192.0.2.2", ""}
	for _, by := range []Caller{alice, bob, alice, alice} {
		uses.Add("old", by)
	}
	uses.Add("new", bob)
	told := uses.Of([]Key{{"new", ""}, {"old", ""}, {"unused", ""}})
	want := `[{new 1 [{{api 192.0.2.2 } 1 1005}]} {old 4 [{{join 192.0.2.1 alice} 3 1004} {{api 192.0.2.2 } 1 1002}]} {unused 0 []}]`
	if got := fmt.Sprint(told); got != want {
		t.Errorf("\n%s\nis not\n%s", got, want)
	}
	uses.Forget("old")
	if told := uses.Of([]Key{{"old", ""}}); told[0].Count != 0 {
		t.Errorf("a key that was forgotten: %v", told)
	}
}

// A large hub must not fill the memory: the callers that came least recently are dropped, and still counted.
func TestUsesForgetTheCallersThatCameLongAgo(t *testing.T) {
	uses := NewUses(clock())
	for i := range 3 * mostCallers {
		uses.Add("key", Caller{Join, "192.0.2.1", fmt.Sprint("guest", i)})
	}
	told := uses.Of([]Key{{"key", ""}})[0]
	if told.Count != 3*mostCallers || len(told.Callers) != mostCallers || told.Callers[0].Identity != fmt.Sprint("guest", 3*mostCallers-1) {
		t.Errorf("%d requests, %d callers, the last one %v", told.Count, len(told.Callers), told.Callers[0])
	}
	uses.Add("key", Caller{Join, strings.Repeat("a", 10_000), strings.Repeat("i", 10_000)})
	if last := uses.Of([]Key{{"key", ""}})[0].Callers[0]; len(last.Address) > mostText || len(last.Identity) > mostText {
		t.Errorf("%d and %d bytes are kept", len(last.Address), len(last.Identity))
	}
}
