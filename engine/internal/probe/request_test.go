package probe

import (
	"strings"
	"testing"
)

func TestReadRequest(t *testing.T) {
	const paths = `"paths": [{"path": "udp", "tokens": ["a", "b"]}]`
	for _, c := range []struct {
		text string
		says []string // nil: it is right
	}{
		{`{"url": "ws://127.0.0.1:7880", "timeout_ms": 1000, "media_ms": 0, ` + paths + `}`, nil},
		{`{"url": "https://rtc.example.com/livekit/", "timeout_ms": 120000, "media_ms": 400, "paths": [
			{"path": "udp", "tokens": ["a"]}, {"path": "tcp", "tokens": ["a", "b"]}, {"path": "turn-udp", "tokens": ["a", "b"]}]}`, nil},
		{``, []string{"JSON"}},
		{`[]`, []string{"JSON"}},
		{`{"ulr": "ws://a"}`, []string{"ulr"}},
		{`{"url": "", "timeout_ms": 0, "media_ms": -1}`, []string{"url: ", "timeout_ms: 0", "media_ms: -1", "paths: none"}},
		{`{"url": "ftp://a", "timeout_ms": 9, "media_ms": 9, ` + paths + `}`, []string{`"ftp://a"`, "media_ms: 9"}},
		{`{"url": "ws://a?b", "timeout_ms": 120001, "media_ms": 1, ` + paths + `}`, []string{"query", "timeout_ms: 120001"}},
		{`{"url": "ws://a", "timeout_ms": 9, "media_ms": 1, "paths": [{"path": "upd", "tokens": ["secret", "secret"]},
			{"path": "udp", "tokens": []}, {"path": "udp", "tokens": ["a", "b", "c"]}]}`,
			[]string{`paths[0].path: "upd" is unknown; known are tcp, turn-udp, udp`, "paths[0].tokens: both",
				"paths[1].tokens: 0", "paths[2].path: \"udp\" is given twice", "paths[2].tokens: 3"}},
	} {
		_, err := ReadRequest(strings.NewReader(c.text))
		if (err != nil) != (c.says != nil) {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q lacks %q", c.text, err, says)
			}
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a token is in %q", err)
		}
	}
}

func TestOnlyTURNOverUDPIsTURNOverUDP(t *testing.T) {
	for url, want := range map[string]bool{
		"turn:hub:3478?transport=udp":  true,
		"turn:hub:3478":                true, // the scheme's default
		"turn:[2001:db8::1]:3478":      true,
		"turn:hub:3478?transport=tcp":  false,
		"turns:hub:443?transport=tcp":  false,
		"stun:stun.l.google.com:19302": false,
		"turn:":                        false,
		"":                             false,
	} {
		if got := routes["turn-udp"].Server(url); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}
