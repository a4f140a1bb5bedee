package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/process"
)

// echoWebSocket is what media does for this test.
func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func (e *edgeTest) mustDialWebSocket() *websocket.Conn {
	e.Helper()
	return e.mustDialWebSocketWith(&tls.Config{RootCAs: e.ca.Pool()})
}

func (e *edgeTest) mustDialWebSocketWith(config *tls.Config) *websocket.Conn {
	e.Helper()
	dialer := &websocket.Dialer{
		TLSClientConfig:  config,
		HandshakeTimeout: 10 * time.Second,
		NetDial:          func(string, string) (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+e.port) },
	}
	conn, _, err := dialer.Dial("wss://hub.test/rtc", nil)
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { conn.Close() })
	return conn
}

// mustEcho sends a message and wants it back.
func mustEcho(t *testing.T, conn *websocket.Conn, message string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != message {
		t.Fatalf("%s: %q, %v", message, got, err)
	}
}

func TestReloadKeepsConnections(t *testing.T) {
	e := newEdge(t, nil)
	e.media.answer(echoWebSocket)
	e.start()
	socket := e.mustDialWebSocket()
	refresh := mustRelay(t, e.mustDial("hub.test"))
	idle := e.client() // keeps its connection open between requests
	if response, err := idle.Get("https://hub.test/"); err != nil {
		t.Fatal(err)
	} else {
		response.Body.Close()
	}

	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() { // new clients, all the time
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			conn, err := e.dialTLS("hub.test")
			if err != nil {
				failed <- err
				return
			}
			conn.Close()
		}
	}()
	for round := range 5 {
		e.configure(func(config map[string]any) { plain(config)["idle_timeout"] = time.Duration(round+1) * time.Minute })
		if code, answer := e.reload(); code != http.StatusOK || !strings.Contains(answer, `"certificates"`) {
			t.Fatalf("reload: %d %s", code, answer)
		}
		mustEcho(t, socket, "a WebSocket over a reload")
		refresh()
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Errorf("a new client, while the edge reloaded: %v", err)
	}
	if response, err := idle.Get("https://hub.test/"); err != nil {
		t.Error(err)
	} else {
		response.Body.Close()
	}
}

// plain is the server on the HTTP port.
func plain(config map[string]any) map[string]any {
	servers := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
	return servers["plain"].(map[string]any)
}

func TestReloadTakesWhatChanged(t *testing.T) {
	e := newEdge(t, nil)
	first := e.start()["loaded_at"]
	moved := enginetest.FreePort(t)
	e.configure(func(config map[string]any) {
		plain(config)["listen"] = []string{"bounded/127.0.0.1:" + moved}
	})
	if code, answer := e.reload(); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, answer)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+moved); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	enginetest.Eventually(t, "the earlier port is closed", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+e.http)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if now := enginetest.AskControl(t, e.path("c"), "/status")["loaded_at"]; now == first {
		t.Errorf("loaded_at is still %v", now)
	}
	e.configure(func(config map[string]any) { // one more name, whose certificate is there when the reload is done
		app := config["apps"].(map[string]any)["tls"].(map[string]any)
		names := []string{"hub.test", "127.0.0.1", "new.test"}
		app["certificates"].(map[string]any)["automate"] = names
		app["automation"].(map[string]any)["policies"].([]any)[0].(map[string]any)["subjects"] = names
	})
	if code, answer := e.reload(); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, answer)
	}
	e.mustDial("new.test")
}

func TestAWrongConfigurationLeavesTheOldOneRunning(t *testing.T) {
	e := newEdge(t, nil)
	e.media.answer(echoWebSocket)
	loaded := e.start()["loaded_at"]
	socket := e.mustDialWebSocket()
	taken := occupyTCP(t)
	for _, c := range []struct {
		name   string
		change func(config map[string]any)
		says   string
	}{
		{"unknown key", func(config map[string]any) { layer4Of(config)["lisen"] = 1 }, "lisen"},
		{"bad value", func(config map[string]any) { plain(config)["idle_timeout"] = "soon" }, "soon"},
		// The first address is open by the time that the second fails.
		{"a port that is taken", func(config map[string]any) {
			layer4Of(config)["listen"] = []string{"bounded/127.0.0.1:" + e.port, "bounded/127.0.0.1:" + taken}
			layer4Of(config)["routes"] = []any{}
		}, "address already in use"},
		{"a server that takes nothing over", func(config map[string]any) {
			plain(config)["listen"] = []string{"bounded/127.0.0.1:" + taken}
			layer4Of(config)["routes"] = []any{}
		}, "address already in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.configure(c.change)
			code, answer := e.reload()
			if code != http.StatusUnprocessableEntity || !strings.Contains(answer, `"error"`) || !strings.Contains(answer, c.says) {
				t.Errorf("reload: %d %s", code, answer)
			}
			e.mustServe()
			mustEcho(t, socket, "still here")
			e.mustDialWebSocket()
			if now := enginetest.AskControl(t, e.path("c"), "/status"); now["loaded_at"] != loaded || now["state"] != string(process.Running) {
				t.Errorf("status: %v", now)
			}
		})
	}
}

func TestReplacedCertificateFilesAreTakenByAReload(t *testing.T) {
	e := newEdge(t, nil)
	issue := func() { e.ca.IssueFiles(t, e.path("hub.crt"), e.path("hub.key"), "hub.test") }
	issue()
	e.configure(e.useTLS("tls-files.json"))
	e.start()
	living := e.mustDial("hub.test")
	serial := func(conn *tls.Conn) string { return conn.ConnectionState().PeerCertificates[0].SerialNumber.String() }
	before := serial(living)
	if by, err := tls.Dial("tcp", "127.0.0.1:"+e.port, &tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Errorf("a client by address, which the certificate isn't for: %v", err)
	} else {
		if serial(by) != before {
			t.Error("a client by address got another certificate")
		}
		by.Close()
	}
	issue() // caddy.json stays as it is
	if code, answer := e.reload(); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, answer)
	}
	if serial(e.mustDial("hub.test")) == before {
		t.Error("the earlier certificate is served")
	}
	if _, err := io.WriteString(living, "GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n"); err != nil {
		t.Error(err)
	}
	if answer, err := http.ReadResponse(bufio.NewReader(living), nil); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("on the earlier connection: %v, %v", answer, err)
	}
	status := enginetest.AskControl(t, e.path("c"), "/status")
	if list := status["certificates"].([]any); len(list) != 1 {
		t.Errorf("certificates: %v", list)
	}
}
