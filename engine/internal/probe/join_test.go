package probe

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/livekit/protocol/livekit"

	"lkhub/engine/internal/participant"
)

func TestWebSocketThatLiveKitItselfRefusesIsNoProxysFault(t *testing.T) {
	target := &url.URL{Scheme: "ws", Host: "127.0.0.1:7880"}
	html := http.Header{"Content-Type": {"text/html"}}
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		body   string
		want   Reason
	}{
		{"a full room (livekit-server, pkg/service/rtcservice.go, readInitialResponse)", 500, nil, "connection closed by media", JoinRefused},
		{"a request that asks for no WebSocket", 404, nil, "", NotUpgraded},
		{"a proxy's page", 500, html, "<html><h1>500 Internal Server Error</h1></html>", NotUpgraded},
		{"a proxy that reaches nothing", 502, html, "<html><h1>502 Bad Gateway</h1></html>", Gateway},
	} {
		header := c.header
		if header == nil {
			header = http.Header{}
		}
		refused := &participant.RefusedError{Status: c.status, Header: header, Body: c.body}
		if f := (&call{}).explainRefusal(&server{target: target}, refused); f.reason != c.want || f.stage != StageJoin {
			t.Errorf("%s: %s at %s, not %s", c.name, f.reason, f.stage, c.want)
		}
	}
}

func TestPictureIsTriedWhereTheServerMayTakeIt(t *testing.T) {
	for _, c := range []struct {
		mimes []string
		want  bool
	}{
		{nil, true}, // an older server, which does not tell
		{[]string{"audio/opus", "video/vp8"}, true},
		{[]string{"audio/opus", "video/H264"}, false},
	} {
		welcome := &livekit.JoinResponse{}
		for _, mime := range c.mimes {
			welcome.EnabledPublishCodecs = append(welcome.EnabledPublishCodecs, &livekit.Codec{Mime: mime})
		}
		if got := takesPicture(welcome); got != c.want {
			t.Errorf("%v: %v", c.mimes, got)
		}
	}
}
