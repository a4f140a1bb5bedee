package main

import (
	"encoding/json"
	"io"
	"runtime/debug"
	"strings"

	"lkhub/engine/internal/failure"
)

// version is the engine's own; a build sets it with -ldflags "-X main.version=…".
var version = "dev"

// builtIn names the modules whose versions are shown.
var builtIn = map[string]string{
	"github.com/livekit/livekit-server":   "livekit",
	"github.com/pion/turn/v5":             "pion_turn",
	"github.com/livekit/server-sdk-go/v2": "server_sdk_go",
	"github.com/caddyserver/caddy/v2":     "caddy",
	"github.com/mholt/caddy-l4":           "caddy_l4",
}

func runVersion(_ []string, _ io.Reader, stdout, _ io.Writer) int {
	_ = json.NewEncoder(stdout).Encode(versions())
	return failure.ExitOK
}

// versions reads the build info instead of constants, so that it returns the versions that were linked.
func versions() map[string]string {
	found := map[string]string{"engine": version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	found["go"] = info.GoVersion
	for _, module := range info.Deps {
		if name, ok := builtIn[module.Path]; ok {
			if module.Replace != nil {
				module = module.Replace
			}
			found[name] = strings.TrimPrefix(module.Version, "v")
		}
	}
	return found
}
