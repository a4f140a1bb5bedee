package keyring

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var secret = strings.Repeat("s", MinSecret)

func TestParseKeepsTheFilesOrder(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"APIz: " + secret + "\nAPIa: " + secret + "\nAPIm: " + secret + "\n", []string{"APIz", "APIa", "APIm"}},
		{"# ring\n\n\"APIq\": \"" + secret + "\"\n", []string{"APIq"}},
		{"{APIflow: " + secret + ", APIb: " + secret + "}", []string{"APIflow", "APIb"}},
	} {
		keys, err := Parse([]byte(c.text))
		var got []string
		for _, key := range keys {
			got = append(got, key.ID)
			if key.Secret != secret {
				t.Errorf("%q: the secret of %s is %q", c.text, key.ID, key.Secret)
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}

func TestParseTakesThePairThatEverybodyKnows(t *testing.T) {
	keys, err := Parse([]byte("devkey: secret\n"))
	if err != nil || len(keys) != 1 || keys[0] != (Key{"devkey", "secret"}) {
		t.Errorf("got %v, %v", keys, err)
	}
	if _, err := Parse([]byte("devkey: other\n")); err == nil {
		t.Error("another short secret was taken")
	}
}

func TestParseRefusesWhatCannotBeUsed(t *testing.T) {
	hidden := strings.Repeat("SECRET", 8)
	for _, text := range []string{
		"", "\n", "# nothing\n", "- APIa: " + hidden, "APIa:" + hidden, "APIa: short", "APIa: ''", "APIa:\n", "APIa: {b: " + hidden + "}",
		"'': " + hidden, "APIa: " + hidden + "\nAPIa: " + hidden, "APIa: \"" + hidden, hidden + ": APIa", "\xff\xfe",
		"APIa: " + hidden + "\nAPIb", "? [a, b]\n: " + hidden,
	} {
		keys, err := Parse([]byte(text))
		if err == nil {
			t.Errorf("%q is accepted: %v", text, keys)
		} else if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: the error quotes the secret: %v", text, err)
		}
	}
}

func TestSwapReplacesTheKeysAsAWhole(t *testing.T) {
	own, a, b, c := Key{"own", "o"}, Key{"a", "1"}, Key{"b", "2"}, Key{"c", "3"}
	ring := New(own, []Key{a, b})
	if ring.Current() != a || ring.NumKeys() != 2 || ring.GetSecret("own") != "o" || ring.GetSecret("") != "" {
		t.Errorf("the first keys: %v", ring.Keys())
	}
	if gone := ring.Swap([]Key{c, a}); !slices.Equal(gone, []string{"b"}) {
		t.Errorf("gone: %v", gone)
	}
	if ring.GetSecret("b") != "" || ring.GetSecret("a") != "1" || ring.GetSecret("own") != "o" || ring.Current() != c {
		t.Errorf("after the swap: %v", ring.Keys())
	}
	if gone := ring.Swap([]Key{{"c", "another secret"}, a}); !slices.Equal(gone, []string{"c"}) {
		t.Errorf("a key whose secret changed: gone are %v", gone)
	}
	for id, want := range map[string]string{"a": "a", "c": "c", "b": "c", "": "c", "own": "c"} {
		if got := ring.Choose(id); got.ID != want {
			t.Errorf("Choose(%q) is %s, want %s", id, got.ID, want)
		}
	}
}

// Run with -race: many requests are checked while the keys are replaced again and again. Each sees one whole set.
func TestRequestsAreCheckedDuringSwaps(t *testing.T) {
	of := func(turn int) []Key {
		return []Key{{fmt.Sprint("k", turn), fmt.Sprint(turn)}, {"always", "kept"}}
	}
	ring, uses := New(Key{"own", "o"}, of(0)), NewUses(time.Now)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				current := ring.Current()
				if "k"+current.Secret != current.ID || ring.GetSecret("always") != "kept" || ring.GetSecret("own") != "o" {
					t.Errorf("%v, and always is %q", current, ring.GetSecret("always"))
					return
				}
				uses.Add(current.ID, Caller{Kind: Join})
				uses.Of(ring.Keys())
			}
		})
	}
	for turn := range 2000 {
		for _, gone := range ring.Swap(of(turn + 1)) {
			uses.Forget(gone)
		}
	}
	close(stop)
	readers.Wait()
	if ring.Current().ID != "k2000" {
		t.Error(ring.Current())
	}
}
