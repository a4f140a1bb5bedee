package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Where alone an upstream may be imported, as the start of a path: a bump of it should be read in one place.
var homes = map[string][]string{
	"github.com/livekit/livekit-server/": {"livekit"},
	"github.com/pion/turn/":              {"internal/relay/", "internal/load/flow.go", "internal/turntest/"},
	"github.com/caddyserver/":            {"internal/edge"},
	"github.com/mholt/":                  {"internal/edge"},
	"github.com/huin/goupnp":             {"internal/portmap"},
}

func TestUpstreamsAreImportedInTheirHomes(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			for upstream, places := range homes {
				isHome := func(place string) bool { return strings.HasPrefix(path, place) }
				if strings.HasPrefix(imported, upstream) && !slices.ContainsFunc(places, isHome) {
					t.Errorf("%s imports %s; only %s* may", path, imported, strings.Join(places, "*, "))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
