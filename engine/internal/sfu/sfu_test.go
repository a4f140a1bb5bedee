package sfu

import (
	"fmt"
	"strings"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/sfu/config"
)

// The configurations are as lkhub renders them, for a network and behind a 1:1 NAT.
func TestMediaKnowsItsHomeByItsConfiguration(t *testing.T) {
	yaml := strings.Replace(enginetest.LiveKitYAML("7880", "7882", "keys.yaml", ""), "  node_ip: 127.0.0.1",
		"  ips: {includes: [10.77.0.5/32, \"fd77::5/128\"]}\n  node_ip: 203.0.113.5,2001:db8::5", 1)
	conf, err := config.DecodeStrict(yaml)
	if err != nil {
		t.Fatal(err)
	}
	var told Advertised
	if err := told.Set("10.77.0.5=203.0.113.6"); err != nil {
		t.Fatal(err)
	}
	h := insideOf(conf, told)
	if got := fmt.Sprint(h.Served, h.Told); got != "[10.77.0.5 fd77::5] [203.0.113.5 2001:db8::5 203.0.113.6]" {
		t.Error(got)
	}
}
