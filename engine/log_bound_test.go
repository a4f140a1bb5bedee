package main

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestAFloodOfLinesIsLeftOutAndCounted(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var written bytes.Buffer
	bounded := newBoundedLog(&written)
	bounded.clock = func() time.Time { return now }
	say := func(times int) {
		for range times {
			if n, err := bounded.Write([]byte("line\n")); n != 5 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	say(logLines)
	if got := strings.Count(written.String(), "line\n"); got != logLines {
		t.Errorf("%d lines, and none was too many", got)
	}
	say(1000)
	now = now.Add(time.Second)
	say(2)
	now = now.Add(time.Second)
	say(1)
	if got := strings.Count(written.String(), "line\n"); got != logLines+3 {
		t.Errorf("%d lines", got)
	}
	if got := strings.Count(written.String(), "1000 more lines were left out\n"); got != 1 || strings.Count(written.String(), "left out") != 1 {
		t.Errorf("%s", written.String())
	}
}

// Packets that nobody has a credential for, of any address.
func TestPacketsOfStrangersDontFillTheRelaysLog(t *testing.T) {
	var written bytes.Buffer
	bounded := newBoundedLog(&written)
	_, address := startRelay(t, listenUDP(t).LocalAddr(), 24, func(r *relay) { r.log = bounded })
	client, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	bad := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.RawAttribute{Type: 0x6100, Value: []byte("what")})
	answer := make([]byte, 1500)
	began := time.Now()
	for range 1000 {
		// One is answered, and logged by then, before the next is sent.
		_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := client.Write(bad.Raw); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(answer); err != nil {
			t.Fatal(err)
		}
	}
	seconds := int(time.Since(began).Seconds()) + 2
	bounded.mu.Lock()
	defer bounded.mu.Unlock()
	if got := strings.Count(written.String(), "\n"); got == 0 || got > seconds*(logLines+1) {
		t.Errorf("%d lines in %d s:\n%.400s", got, seconds, written.String())
	}
}

func TestLongValuesAreShortenedAndJSONStaysJSON(t *testing.T) {
	for _, unit := range []string{"A", "é", "\x1b", "\"", "\\", "\u202e", "\U0001f600", "\xff", ",", "}"} {
		for _, count := range []int{1, maxLogged - 1, maxLogged, maxLogged + 1, 600_000} {
			value := strings.ToValidUTF8(strings.Repeat(unit, count), "?")
			line, err := json.Marshal(map[string]string{"msg": "error in auth", "error": "issuer: " + value, "z": "end"})
			if err != nil {
				t.Fatal(err)
			}
			var told map[string]string
			short := shorten(append(line, '\n'))
			if err := json.Unmarshal(short, &told); err != nil || short[len(short)-1] != '\n' {
				t.Fatalf("%q %d times: %v", unit, count, err)
			}
			if told["msg"] != "error in auth" || told["z"] != "end" || !strings.HasPrefix(told["error"], "issuer: ") {
				t.Errorf("%q %d times: %.100q", unit, count, short)
			}
			if characters := len([]rune(told["error"])); characters > maxLogged+1 {
				t.Errorf("%q %d times: %d characters", unit, count, characters)
			}
		}
	}
	if plain := shorten([]byte(strings.Repeat("x", 1<<20) + "\n")); len(plain) > maxLogged+10 || plain[len(plain)-1] != '\n' {
		t.Errorf("a line without quotes has %d bytes, and ends with %q", len(plain), plain[len(plain)-1])
	}
}
