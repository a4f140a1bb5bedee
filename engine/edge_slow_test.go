package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
)

// drip sends a byte now and then until the other side ends the connection, and returns how the answer began.
func drip(conn net.Conn, every time.Duration) string {
	answered := make(chan string, 1)
	go func() {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		status, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil && status == "" {
			status = err.Error()
		}
		answered <- strings.TrimSpace(status)
	}()
	for {
		select {
		case status := <-answered:
			return status
		case <-time.After(every):
			_, _ = conn.Write([]byte("x"))
		}
	}
}

func post(path, length string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/json\r\n%s\r\n\r\n", path, length)
}

// With one byte at a time, the connection ends, whatever the request is and whichever handler reads it.
func TestSlowBodiesEnd(t *testing.T) {
	e := newEdge(t, map[string]string{"DEADLINE": shortDeadline.String()})
	e.media.answer(readAll)
	e.start()
	for _, c := range []struct{ name, path, length string }{
		{"to the service, whose stand-in answers without reading", "/api/token", "Content-Length: 100000"},
		{"to media, which reads all", "/twirp/x", "Content-Length: 100000"},
		{"without a length", "/twirp/x", "Transfer-Encoding: chunked"},
		{"larger than any", "/twirp/x", "Content-Length: 100000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := e.mustDial("hub.test")
			_, _ = conn.Write(post(c.path, c.length))
			if c.length == "Transfer-Encoding: chunked" {
				_, _ = conn.Write([]byte("10000\r\n"))
			}
			began := time.Now()
			status := drip(conn, shortDeadline/10)
			if strings.Contains(status, "timeout") {
				t.Fatalf("no end after %v", time.Since(began))
			}
			// The body of a request that was answered early is read to its end, and that must end as well.
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			for ; ; time.Sleep(shortDeadline / 10) {
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
				if time.Since(began) > 20*time.Second {
					t.Fatalf("still open, after %q", status)
				}
			}
		})
	}
	t.Run("to the plain port", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", "127.0.0.1:"+e.http)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write(post("/", "Content-Length: 100000"))
		for began := time.Now(); ; time.Sleep(shortDeadline / 10) {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
			if time.Since(began) > 20*time.Second {
				t.Fatal("still open")
			}
		}
	})
}

func readAll(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err == nil {
		fmt.Fprintf(w, "%d", n)
	}
}

// A body that keeps coming may take longer than the deadline, and so may the answer to a complete body.
func TestSteadyBodiesAndLongAnswersGoOn(t *testing.T) {
	e := newEdge(t, map[string]string{"DEADLINE": shortDeadline.String(), "STALL": shortStall.String()})
	e.media.answer(readAll)
	e.serve.answer(func(w http.ResponseWriter, r *http.Request) { // a long poll, with something said in between
		_, _ = io.Copy(io.Discard, r.Body)
		for range 3 {
			select {
			case <-time.After(2 * shortStall):
			case <-r.Context().Done():
				t.Error("the edge gave the long poll up")
			}
			fmt.Fprint(w, "word ")
			_ = http.NewResponseController(w).Flush()
		}
	})
	e.start()
	steady, out := io.Pipe()
	const parts, size = 30, 4096 // 15 times as fast as needed, and for longer than the grace
	go func() {
		for range parts {
			_, _ = out.Write(make([]byte, size))
			time.Sleep(shortDeadline / 20)
		}
		out.Close()
	}()
	for _, c := range []struct {
		path string
		body io.Reader
		want string
	}{
		{"/twirp/x", steady, fmt.Sprint(parts * size)},
		{"/api/events", strings.NewReader("{}"), "word word word "},
		{"/api/events", nil, "word word word "},
	} {
		response, err := e.client().Post("https://hub.test"+c.path, "application/json", c.body)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %q (%v), want %q", c.path, response.Status, got, err, c.want)
		}
	}
}

// A client that reads nothing of a long answer is cut off.
func TestUnreadAnswersEnd(t *testing.T) {
	e := newEdge(t, map[string]string{"STALL": shortStall.String()})
	var ended atomic.Bool
	e.serve.answer(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		ended.Store(true)
	})
	e.start()
	conn := e.mustDial("hub.test")
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
	enginetest.Eventually(t, "the answer is given up", ended.Load)
}

// There are few descriptors, and one address takes as many places as it gets. Other clients still get in.
func TestOneAddressLeavesRoomForOthers(t *testing.T) {
	e := newEdge(t, map[string]string{"PER_ADDRESS": "100000", "REQUESTS": "100000"})
	e.start("/bin/sh", "-c", `ulimit -n 300; exec "$0" "$@"`)
	for _, port := range []string{e.port, e.http} { // the plain port's connections are taken from the same descriptors
		for range 300 {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
	}
	enginetest.Eventually(t, "one address is kept within bounds", func() bool {
		_, _, refused := e.connections()
		return refused > 300
	})
	other := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: e.tlsConfig("hub.test"),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return other.DialContext(ctx, "tcp", "127.0.0.1:"+e.port)
		},
	}}
	for i := range 10 {
		response, err := client.Get("https://hub.test/rtc/validate")
		if err != nil {
			t.Fatalf("request %d of another address: %v", i, err)
		}
		response.Body.Close()
		client.CloseIdleConnections()
	}
	refusal, _ := enginetest.AskControl(t, e.path("c"), "/status")["connections"].(map[string]any)["refusal"].(map[string]any)
	if refusal["client"] != "127.0.0.1" || refusal["held"].(float64) < 10 {
		t.Errorf("told: %v", refusal)
	}
}

// Behind a proxy, the counted client is the one that the proxy names.
func TestRequestsOfOneClientAreCounted(t *testing.T) {
	e := newEdge(t, map[string]string{"REQUESTS": "2"})
	e.configure(func(config map[string]any) {
		clear(config)
		for name, value := range e.fixture("external.json") {
			config[name] = value
		}
	})
	var asked sync.WaitGroup
	release := make(chan struct{})
	e.media.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/rtc/long" {
			asked.Done()
			<-release
		}
	})
	e.start()
	get := func(path, forwarded string) int {
		request, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+e.http+path, nil)
		request.Header.Set("X-Forwarded-For", forwarded)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	var done sync.WaitGroup
	asked.Add(2)
	for range 2 {
		done.Go(func() { get("/rtc/long", "198.51.100.1") })
	}
	asked.Wait()
	if code := get("/rtc", "198.51.100.1"); code != http.StatusTooManyRequests {
		t.Errorf("a third request: %d", code)
	}
	if code := get("/rtc", "198.51.100.2"); code != http.StatusOK {
		t.Errorf("another client: %d", code)
	}
	close(release)
	done.Wait()
	if code := get("/rtc", "198.51.100.1"); code != http.StatusOK {
		t.Errorf("afterwards: %d", code)
	}
}
