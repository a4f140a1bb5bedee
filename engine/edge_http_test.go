package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
)

// LiveKit believes these headers (utils.go, GetClientIP), CF-Connecting-IP first of all.
func TestWhatClientsSayOfThemselvesIsRemoved(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	lies := []string{
		"CF-Connecting-IP", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
		"X-Forwarded-Server", "X-Forwarded-Prefix", "Forwarded", "True-Client-IP", "X-Client-IP",
		"X_Real_IP", "X_Forwarded_For", "CF_Connecting_IP", "X-Forwarded-For_", "X.Forwarded.For",
	}
	for path, upstream := range map[string]*neighbour{"/rtc": e.media, "/twirp/x": e.media, "/": e.serve} {
		request, _ := http.NewRequest(http.MethodGet, "https://hub.test"+path, nil)
		for _, name := range lies {
			request.Header[name] = []string{"203.0.113.66", "203.0.113.67"} // as it is, also lower-case
			request.Header[strings.ToLower(name)] = []string{"203.0.113.66"}
		}
		response, err := e.client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		got := upstream.last(t)
		for name, values := range got.Header {
			if strings.Contains(strings.Join(values, " "), "203.0.113") {
				t.Errorf("%s: %s: %v", path, name, values)
			}
		}
		for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "hub.test"} {
			if values := got.Header.Values(name); len(values) != 1 || values[0] != want {
				t.Errorf("%s: %s is %v, want %s", path, name, values, want)
			}
		}
		if got.Host != "hub.test" {
			t.Errorf("%s: Host is %s", path, got.Host)
		}
	}
}

const canary = "eyJhbGciOiJIUzI1NiJ9.canary-in-the-log.sig"

func TestNoTokenIsLogged(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	target := "/rtc?access_token=" + canary + "&auto_subscribe=1"
	ask := func(path string) {
		request, _ := http.NewRequest(http.MethodGet, "https://hub.test"+path, nil)
		request.Header.Set("Authorization", "Bearer "+canary)
		request.Header.Set("Cookie", "session="+canary)
		request.Header.Set("Referer", "https://hub.test"+target)
		if response, err := e.client().Do(request); err == nil {
			response.Body.Close()
		}
	}
	ask(target)
	e.media.answer(func(w http.ResponseWriter, _ *http.Request) { // breaks off in the middle
		conn, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		conn.Close()
	})
	ask(target)
	blocked := make(chan struct{}, 1)
	e.media.answer(func(_ http.ResponseWriter, r *http.Request) {
		blocked <- struct{}{}
		<-r.Context().Done()
	})
	conn := e.mustDial("hub.test") // a client that goes while it is waited for
	_, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: hub.test\r\n\r\n")
	<-blocked
	conn.Close()
	conn = e.mustDial("hub.test") // and one whose request is none
	_, _ = io.WriteString(conn, "GET "+target+"\x01 HTTP/1.1\r\nHost: hub.test\r\n\r\n")
	_, _ = io.Copy(io.Discard, conn)
	e.serve.down()
	ask("/join/x?access_token=" + canary) // at once: only media is waited for
	e.serve.up(t)

	enginetest.Eventually(t, "the 502 is logged", func() bool { return strings.Contains(e.log.String(), `"status":502`) })
	if log := e.log.String() + e.stdout.String(); strings.Contains(log, "canary-in-the-log") {
		for line := range strings.Lines(log) {
			if strings.Contains(line, "canary-in-the-log") {
				t.Errorf("logged: %s", line)
			}
		}
	}
}

func TestMediaIsWaitedForWhileItRestarts(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	e.get("https://hub.test/rtc/validate") // so that there is a connection to be found dead
	e.media.down()
	answered := make(chan string, 1)
	began := time.Now()
	go func() {
		code, body := e.get("https://hub.test/rtc/validate")
		answered <- http.StatusText(code) + " " + body
	}()
	const away = 2 * time.Second
	select {
	case answer := <-answered:
		t.Fatalf("answered while media was away: %s", answer)
	case <-time.After(away):
	}
	e.media.up(t)
	if answer := <-answered; answer != "OK media" {
		t.Errorf("answer: %s", answer)
	}
	if late := time.Since(began) - away; late > time.Second {
		t.Errorf("answered %v after media was back", late)
	}
}

func TestBodiesAreLimited(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	var read atomic.Int64
	count := func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		read.Store(n)
	}
	e.media.answer(count)
	e.serve.answer(count)
	const limit = 1 << 20
	for _, path := range []string{"/twirp/livekit.RoomService/CreateRoom", "/api/livekit/token"} {
		for size, want := range map[int]int{limit: http.StatusOK, limit + 1: http.StatusRequestEntityTooLarge} {
			for _, chunked := range []bool{false, true} {
				var body io.Reader = bytes.NewReader(make([]byte, size))
				if chunked {
					body = io.MultiReader(body) // of unknown length
				}
				response, err := e.client().Post("https://hub.test"+path, "application/json", body)
				if err != nil {
					t.Errorf("%s, %d bytes, chunked %t: %v", path, size, chunked, err)
					continue
				}
				response.Body.Close()
				if response.StatusCode != want {
					t.Errorf("%s, %d bytes, chunked %t: %s, want %d", path, size, chunked, response.Status, want)
				}
				if n := read.Load(); want == http.StatusOK && n != int64(size) || n > limit {
					t.Errorf("%s, %d bytes, chunked %t: upstream read %d", path, size, chunked, n)
				}
			}
		}
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	conn := e.mustDial("hub.test")
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: hub.test\r\nX: "+strings.Repeat("x", 80<<10))
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 431" {
		t.Errorf("%q, %v", answer, err)
	}
	e.mustServe()
}
