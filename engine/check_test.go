package main

import (
	"strings"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
)

func TestCheckConfigCommand(t *testing.T) {
	for _, c := range []struct {
		text string
		exit int
		want string
	}{
		{enginetest.GoodKeys, failure.ExitOK, `{"version":1,"messages":[],"ok":true}`},
		{"port: x\n" + enginetest.GoodKeys, failure.ExitUsage, "{\"version\":1,\"messages\":[{\"code\":\"wrong-type\",\"line\":1,\"message\":\"cannot unmarshal !!str `x` into uint32\"}],\"ok\":false}"},
	} {
		cmd := engineCommand("check-config", "-")
		cmd.Stdin = strings.NewReader(c.text)
		out, _ := cmd.Output()
		if got := strings.TrimSpace(string(out)); got != c.want || cmd.ProcessState.ExitCode() != c.exit {
			t.Errorf("exit %d, %s", cmd.ProcessState.ExitCode(), got)
		}
	}
}
