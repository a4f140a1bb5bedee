package relay

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/turntest"
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

// Packets without a valid credential, from any address.
func TestPacketsOfStrangersDontFillTheRelaysLog(t *testing.T) {
	var written bytes.Buffer
	bounded := newBoundedLog(&written)
	_, address := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24, func(r *Server) { r.log = bounded })
	client, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	bad := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.RawAttribute{Type: 0x6100, Value: []byte("what")})
	answer := make([]byte, 1500)
	began := time.Now()
	for range 1000 {
		// Each packet is answered, and so logged, before the next is sent.
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
