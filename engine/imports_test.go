package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importers are the only places that may import an upstream, so that a new version of it needs reading in one place.
// unsafe counts as an upstream here: code that reaches around a type breaks with a new version, and the compiler does
// not say so.
var importers = map[string][]string{
	"github.com/livekit/livekit-server": {"internal/sfu"},
	"github.com/pion/turn":              {"internal/relay", "internal/load/flow.go", "internal/turntest"},
	"github.com/caddyserver":            {"internal/edge"},
	"github.com/mholt":                  {"internal/edge"},
	"github.com/huin/goupnp":            {"internal/portmap"},
	"filippo.io/age":                    {"internal/sealed"},
	"unsafe":                            {"internal/private", "internal/udpbatch", "internal/sfu/agents_upstream.go"},
}

// imports has the other packages that each package may import. A package without a line imports none.
var imports = map[string]struct{ packages, reason string }{
	".": {"connlimit edge failure input judge load message portmap probe process relay roots sealed sfu stun",
		"flags, subcommands and exit codes: what each subcommand does is in one package"},
	"internal/failure": {"message", "the line that a failure leaves is a message"},
	"internal/process": {"failure message", "it runs every process of the engine, and media, the relay and the edge add their own answers"},
	"internal/input":   {"failure", "a file that can't be read is a failure"},
	"internal/roster":  {"failure message recent", "media keeps the roster and the relay asks for it, so this package knows neither"},
	"internal/seen":    {"icechecks", "the SFU and the relay both record uses of paths, so this package knows neither"},
	"internal/relay":   {"failure input connlimit recent roster seen sendcount udpread", "it knows only the roster's answers of media, and nothing of Caddy"},
	"internal/edge":    {"failure input connlimit relay", "the edge's process also serves TURN over TLS"},
	"internal/sfu":     {"agents failure icechecks input keyring lans connlimit private process roster seen sendcount sfu/config sfu/signal udpbatch", "it runs livekit-server, and no other server of the hub"},
	"internal/sfu/signal": {"keyring lans private recent",
		"it stands between signalling and media; the server has the sockets, the rooms and the process"},
	"internal/judge":     {"failure input keyring sfu/config", "it checks livekit.yaml as the server reads it, and starts nothing"},
	"internal/portmap":   {"message", "it asks a router, and knows nothing of a hub"},
	"internal/sealed":    {"failure", "it turns bytes into bytes, and knows nothing of a backup"},
	"internal/probe":     {"message participant roots", "it calls a hub as a client does, and knows nothing of its servers"},
	"internal/load":      {"participant", "as internal/probe"},
	"internal/icechecks": {"udpbatch udpread", "a watched socket reads as udpread does, and writes as udpbatch does"},
	"internal/udpbatch":  {"sendcount udpread", "a socket that sends in batches reads as udpread does, and counts what it sends"},
	"internal/calltest":  {"enginetest participant roster", "for tests"},
}

const own = "lkhub/engine/"

// isForTests says whether a package is imported by tests alone.
func isForTests(imported string) bool { return strings.HasSuffix(imported, "test") }

func TestUpstreamsAreImportedInOnePlace(t *testing.T) {
	eachImport(t, func(file, imported string) {
		for upstream, allowed := range importers {
			isAllowed := func(place string) bool { return isBelow(file, place) }
			if isBelow(imported, upstream) && !slices.ContainsFunc(allowed, isAllowed) {
				t.Errorf("%s imports %s; only %s may", file, imported, strings.Join(allowed, ", "))
			}
		}
	})
}

func TestPackagesImportWhatTheyMay(t *testing.T) {
	used := map[string]bool{}
	eachImport(t, func(file, imported string) {
		imported, isOwn := strings.CutPrefix(imported, own)
		isTest := strings.HasSuffix(file, "_test.go")
		if !isOwn || isTest {
			return
		}
		name, importer := strings.TrimPrefix(imported, "internal/"), path.Dir(file)
		rule := imports[importer]
		if !slices.Contains(strings.Fields(rule.packages), name) {
			t.Errorf("%s imports %s; %s may import: %q (%s)", file, imported, importer, rule.packages, rule.reason)
		}
		if isForTests(imported) && !isForTests(importer) {
			t.Errorf("%s imports %s, which is for tests", file, imported)
		}
		used[importer+" "+name] = true
	})
	for importer, rule := range imports {
		for name := range strings.FieldsSeq(rule.packages) {
			if !used[importer+" "+name] {
				t.Errorf("%s does not import %s any more", importer, name)
			}
		}
	}
}

// The main package has flags and exit codes only. With an upstream it would make decisions.
func TestMainImportsNoUpstream(t *testing.T) {
	eachImport(t, func(file, imported string) {
		isUpstream := strings.Contains(strings.Split(imported, "/")[0], ".")
		if path.Dir(file) == "." && !strings.HasSuffix(file, "_test.go") && isUpstream {
			t.Errorf("%s imports %s", file, imported)
		}
	})
}

// isBelow says whether a path is the other path or below it.
func isBelow(each, of string) bool {
	rest, ok := strings.CutPrefix(each, of)
	return ok && (rest == "" || rest[0] == '/')
}

// eachImport calls look with each file below this directory, and with each path that the file imports.
func eachImport(t *testing.T, look func(file, imported string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".go" {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			look(file, imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
