package sfu

import (
	"strings"
	"testing"
)

func TestAdvertiseFlag(t *testing.T) {
	var told Advertised
	for _, text := range []string{"10.0.0.5=203.0.113.5", "fd00::5=2001:db8::5", "10.0.0.5=10.0.0.5", "10.0.0.5=203.0.113.5", "192.168.1.2=192.168.1.2"} {
		if err := told.Set(text); err != nil {
			t.Error(err)
		}
	}
	if got, want := told.String(), "10.0.0.5=203.0.113.5 10.0.0.5=10.0.0.5 fd00::5=2001:db8::5 192.168.1.2=192.168.1.2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for text, says := range map[string]string{
		"":                         "not LOCAL=EXTERNAL",
		"10.0.0.5":                 "not LOCAL=EXTERNAL",
		"10.0.0.5=hub.example.com": "no IP address",
		"10.0.0.5=203.0.113.5:443": "no IP address",
		"10.0.0.5=2001:db8::5":     "different families",
		"0.0.0.0=203.0.113.5":      "no address that clients could be told",
		"fe80::1%eth0=2001:db8::5": "no address that clients could be told",
		"10.0.0.5=224.0.0.1":       "no address that clients could be told",
	} {
		if err := new(Advertised).Set(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}
