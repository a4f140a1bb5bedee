package main

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
)

// slowLine forwards to a UDP server, and delays every packet in both directions. It returns the port at which it
// listens.
func slowLine(t *testing.T, to string, takes func(number int64) time.Duration) string {
	t.Helper()
	near, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	var number atomic.Int64
	later := func(packet []byte, write func([]byte)) {
		packet = append([]byte(nil), packet...)
		time.AfterFunc(takes(number.Add(1)), func() { write(packet) })
	}
	var mu sync.Mutex
	conns := map[string]net.Conn{}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range conns {
			conn.Close()
		}
	})
	connOf := func(client net.Addr) net.Conn {
		mu.Lock()
		defer mu.Unlock()
		if conn := conns[client.String()]; conn != nil {
			return conn
		}
		conn, err := net.Dial("udp", to)
		if err != nil {
			return nil
		}
		conns[client.String()] = conn
		go func() {
			buffer := make([]byte, 2048)
			for n, err := conn.Read(buffer); err == nil; n, err = conn.Read(buffer) {
				later(buffer[:n], func(p []byte) { _, _ = near.WriteTo(p, client) })
			}
		}()
		return conn
	}
	go func() {
		buffer := make([]byte, 2048)
		for n, client, err := near.ReadFrom(buffer); err == nil; n, client, err = near.ReadFrom(buffer) {
			if conn := connOf(client); conn != nil {
				later(buffer[:n], func(p []byte) { _, _ = conn.Write(p) })
			}
		}
	}()
	_, port, _ := net.SplitHostPort(near.LocalAddr().String())
	return port
}

func TestProbeMeasuresTheLine(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		takes       func(int64) time.Duration
		rtt, jitter float64 // at least
	}{
		"slow":   {func(int64) time.Duration { return 90 * ms }, 180, 0},
		"uneven": {func(n int64) time.Duration { return time.Duration(n*37%5) * 40 * ms }, 0, 30},
	} {
		t.Run(name, func(t *testing.T) {
			udp := enginetest.FreePort(t)
			_, listen := startRelay(t, loopbackPort(t, udp), 24)
			port := slowLine(t, listen, c.takes)
			server := startSFU(t, udp, "0", turnServer(t, "127.0.0.1", port, "udp"))
			results, _ := runProbeWith(t, hubRequest(server.URL, "", enough), calltest.Secret, 2, "turn-udp")
			result := results["turn-udp"]
			if verdict(result) != "true media" || !strings.HasSuffix(*result.Relay, ":"+port+"?transport=udp") {
				t.Fatalf("%+v", result)
			}
			t.Logf("round trip %v ms, jitter %v ms, own lateness %v ms", *result.RTTMS, *result.JitterMS, *result.LatenessMS)
			if *result.RTTMS < c.rtt {
				t.Errorf("a round trip of %v ms", *result.RTTMS)
			}
			if *result.JitterMS < c.jitter {
				t.Errorf("jitter of %v ms", *result.JitterMS)
			}
		})
	}
}
