package enginetest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// WaitForState asks until the process is in a state.
func WaitForState(t *testing.T, path, want string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if AskControl(t, path, "/status")["state"] == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("not %s after 10 s", want)
}

// AskControl waits for the socket to be there, then asks once.
func AskControl(t *testing.T, path, what string) map[string]any {
	t.Helper()
	response, err := ControlClient(path).Get("http://control" + what)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s: %s: %q", what, response.Status, body)
	}
	return answer
}

// ControlClient waits for the socket at path.
func ControlClient(path string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialUntil(ctx, path)
		},
	}}
}

func dialUntil(ctx context.Context, path string) (net.Conn, error) {
	for {
		conn, err := net.Dial("unix", path)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		time.Sleep(time.Millisecond)
	}
}
