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
		{`{"url": "wss://hub", "timeout_ms": 1000, "resolve": {"hub": "127.0.0.1", "2001:db8::5": "fd00::5"}, "paths": [{"path": "turn-tls", "tokens": ["a"]}]}`, nil},
		{`{"url": "wss://hub", "timeout_ms": 1000, "resolve": {"hub": "localhost", "": "::1"}, "ca_file": "/nowhere", ` + paths + `}`,
			[]string{`resolve: "hub" leads to "localhost"`, `resolve: "" leads`, "ca_file: open /nowhere"}},
		{`{"url": "wss://hub", "timeout_ms": 1000, "ca_file": "request_test.go", ` + paths + `}`, []string{"holds no certificate"}},
		{``, []string{"JSON"}},
		{`[]`, []string{"JSON"}},
		{`{"ulr": "ws://a"}`, []string{"ulr"}},
		{`{"version": 1, "url": "ws://127.0.0.1:7880", "timeout_ms": 1000, "media_ms": 0, ` + paths + `}`, nil},
		{`{"version": 2, "url": "", "timeout_ms": 1000, ` + paths + `}`, []string{"version is 2, and this program speaks 1", "url: "}},
		{`{"url": "", "timeout_ms": 0, "media_ms": -1}`, []string{"url: ", "timeout_ms: 0", "media_ms: -1", "paths: none"}},
		{`{"url": "ftp://a", "timeout_ms": 9, "media_ms": 9, ` + paths + `}`, []string{`"ftp://a"`, "media_ms: 9"}},
		{`{"url": "ws://a?b", "timeout_ms": 120001, "media_ms": 1, ` + paths + `}`, []string{"query", "timeout_ms: 120001"}},
		{`{"url": "ws://a", "timeout_ms": 9, "media_ms": 1, "paths": [{"path": "upd", "tokens": ["secret", "secret"]},
			{"path": "udp", "tokens": []}, {"path": "udp", "tokens": ["a", "b", "c"]}]}`,
			[]string{`paths[0].path: "upd" is unknown; known are tcp, turn-tls, turn-udp, udp`, "paths[0].tokens: both",
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

func TestWhichURLsAreOfAPath(t *testing.T) {
	for url, want := range map[string]string{
		"turn:hub:3478?transport=udp":       "turn-udp",
		"turn:hub:3478":                     "turn-udp", // the scheme's default
		"turn:[2001:db8::1]:3478":           "turn-udp",
		"turns:hub:443?transport=tcp":       "turn-tls",
		"turns:hub":                         "turn-tls",
		"turns:[2001:db8::1]?transport=tcp": "turn-tls",
		"turns:hub:443?transport=udp":       "", // DTLS
		"turn:hub:3478?transport=tcp":       "",
		"stun:stun.l.google.com:19302":      "",
		"turn:":                             "",
		"":                                  "",
	} {
		for path, r := range routes {
			if r.Server != nil && r.Server(url) != (path == want) {
				t.Errorf("%s is of %s: %v", url, path, path != want)
			}
		}
	}
}
