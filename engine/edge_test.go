package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/turntest"
)

func TestEdgeHasOnePortForAll(t *testing.T) {
	e := newEdge(t, nil)
	status := e.start()

	for path, want := range map[string]string{
		"/": "serve", "/join/room": "serve", "/rtcx": "serve", "/trust": "serve",
		"/rtc": "media", "/rtc/validate": "media", "/twirp/livekit.RoomService/ListRooms": "media", "/agent": "media", "/whip/v1": "media",
	} {
		if code, body := e.get("https://hub.test" + path); code != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, code, body, want)
		}
	}
	for _, name := range []string{"hub.test", "127.0.0.1"} {
		conn := e.mustDial(name) // by its address without SNI
		if leaf := conn.ConnectionState().PeerCertificates[0]; leaf.VerifyHostname(name) != nil {
			t.Errorf("%s: a certificate for %v %v", name, leaf.DNSNames, leaf.IPAddresses)
		}
	}
	var names []string
	for _, c := range status["certificates"].([]any) {
		c := c.(map[string]any)
		names = append(names, c["names"].([]any)[0].(string))
		if until, err := time.Parse(time.RFC3339, c["not_after"].(string)); err != nil || !until.After(time.Now()) {
			t.Errorf("not_after is %v", c["not_after"])
		}
		if chain := c["chain"].([]any); len(chain) != 2 || len(chain[0].(string)) != 64 {
			t.Errorf("chain is %v", chain)
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"127.0.0.1", "hub.test"}) {
		t.Errorf("certificates for %v when ready", names)
	}

	if pending := status["pending"].([]any); len(pending) > 0 {
		t.Errorf("pending: %v", pending)
	}

	conn := e.mustDial("hub.test")
	var seen stun.XORMappedAddress
	answer := turntest.OverTLS(t, conn).Exchange(stun.TransactionID, stun.BindingRequest)
	if err := seen.GetFrom(answer); err != nil || seen.String() != conn.LocalAddr().String() {
		t.Errorf("the relay sees %s (%v), and the client is %s", seen, err, conn.LocalAddr())
	}
}

// mustRelay makes an allocation, which keeps the connection open, and returns a function that checks that it still
// exists.
func mustRelay(t *testing.T, conn net.Conn) (refresh func()) {
	t.Helper()
	client, credential := turntest.OverTLS(t, conn), turntest.CredentialFor("PA_one", time.Hour)
	if code := client.Allocate(credential); code != 0 {
		t.Fatalf("Allocate: %d", code)
	}
	return func() {
		t.Helper()
		if code := client.Ask(stun.MethodRefresh, credential); code != 0 {
			t.Fatalf("Refresh: %d", code)
		}
	}
}

func TestPlainHTTPLeadsToTLS(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	client := &http.Client{CheckRedirect: e.client().CheckRedirect}
	for path, want := range map[string]string{
		"/":               "https://127.0.0.1:" + e.port + "/",
		"/join/a%20b?x=1": "https://127.0.0.1:" + e.port + "/join/a%20b?x=1",
	} {
		response, err := client.Get("http://127.0.0.1:" + e.http + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || got != want {
			t.Errorf("%s: %s to %s, want %s", path, response.Status, got, want)
		}
	}
	response, err := client.Get("http://127.0.0.1:" + e.http + "/trust")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "serve" {
		t.Errorf("/trust: %s %q", response.Status, body)
	}
}

// What Caddy writes outside its storage by default: autosave.json, instance.uuid, roots in trust stores.
func TestEdgeWritesBelowItsStorageAlone(t *testing.T) {
	e := newEdge(t, nil)
	home := t.TempDir()
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"} {
		t.Setenv(name, home)
	}
	const trusted = "/usr/local/share/ca-certificates"
	before, _ := os.ReadDir(trusted)
	beforeRun := filesBelow(t, e.dir)
	e.start()
	e.mustServe()
	if code, answer := e.reload(); code != http.StatusOK {
		t.Errorf("reload: %d %s", code, answer)
	}
	enginetest.Eventually(t, "the storage is cleaned, which writes as well", func() bool {
		return strings.Contains(e.log.String(), "finished cleaning storage units")
	})
	if files := filesBelow(t, home); len(files) > 0 {
		t.Errorf("written into the home directory: %v", files)
	}
	for _, file := range filesBelow(t, e.dir) {
		if !slices.Contains(beforeRun, file) && !strings.HasPrefix(file, "caddy/") && file != "c" {
			t.Errorf("written: %s", file)
		}
	}
	if after, _ := os.ReadDir(trusted); len(after) != len(before) {
		t.Errorf("%s had %d files and has %d", trusted, len(before), len(after))
	}
}

// filesBelow lists all files below dir, with paths from dir on.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			path, _ = filepath.Rel(dir, path)
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEdgeThatCannotStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(e *edgeTest, config map[string]any)
		exit   int
		code   string
		says   string
	}{
		{"port taken", func(e *edgeTest, _ map[string]any) {
			listener, err := net.Listen("tcp", "127.0.0.1:"+e.port)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
		}, failure.ExitMachine, "address-in-use", "address already in use"},
		{"not our address", func(_ *edgeTest, config map[string]any) {
			layer4Of(config)["listen"] = []string{"bounded/192.0.2.1:443"}
		}, failure.ExitMachine, "address-not-available", "192.0.2.1:443"},
		{"unknown key", func(_ *edgeTest, config map[string]any) { layer4Of(config)["lisen"] = 1 }, failure.ExitUsage, "config", `unknown field "lisen"`},
		{"unknown module", func(_ *edgeTest, config map[string]any) {
			config["apps"].(map[string]any)["dynamic_dns"] = map[string]any{}
		}, failure.ExitUsage, "config", "dynamic_dns"},
		{"no CA", func(e *edgeTest, _ map[string]any) { os.Remove(e.path("ca/root.key")) }, failure.ExitUsage, "config", "root.key"},
		{"no limit", func(e *edgeTest, config map[string]any) {
			layer4Of(config)["routes"] = []any{map[string]any{"handle": []any{map[string]any{"handler": "lkhub_limit"}}}}
		}, failure.ExitUsage, "config", "per_address"},
		{"trust stores unguarded", func(_ *edgeTest, config map[string]any) {
			delete(config["apps"].(map[string]any), "lkhub")
		}, failure.ExitUsage, "config", "apps.lkhub is missing"},
		{"issuers asked at handshakes", func(e *edgeTest, config map[string]any) {
			e.useTLS("tls-tailscale.json")(config)
			delete(config["apps"].(map[string]any)["tls"].(map[string]any)["automation"].(map[string]any), "on_demand")
		}, failure.ExitUsage, "config", "lkhub_never"},
		{"a name that any issuer may be asked for", func(_ *edgeTest, config map[string]any) {
			config["apps"].(map[string]any)["tls"].(map[string]any)["certificates"] = map[string]any{"automate": []string{"other.test"}}
		}, failure.ExitUsage, "config", "other.test"},
		{"no place for files", func(_ *edgeTest, config map[string]any) { delete(config, "storage") }, failure.ExitUsage, "config", "storage.root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEdge(t, nil)
			e.configure(func(config map[string]any) { c.change(e, config) })
			cmd := engineCommand("edge", "--config", e.path("caddy.json"), "--control", e.path("c"))
			stdout, _ := cmd.Output()
			if got := cmd.ProcessState.ExitCode(); got != c.exit {
				t.Errorf("exit code %d, want %d", got, c.exit)
			}
			checkFailureLine(t, stdout, c.code, c.says)
		})
	}
}

// layer4Of is the layer4 server of a configuration.
func layer4Of(config map[string]any) map[string]any {
	servers := config["apps"].(map[string]any)["layer4"].(map[string]any)["servers"].(map[string]any)
	return servers["edge"].(map[string]any)
}

func TestStopIsAtOnce(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	conn := e.mustDial("hub.test")
	_ = e.cmd.Process.Signal(os.Interrupt)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection is still there: %v", err)
	}
	_ = e.cmd.Wait()
	if code := e.cmd.ProcessState.ExitCode(); code != failure.ExitOK {
		t.Errorf("exit code %d", code)
	}
	if locks := filesBelow(t, e.path("caddy")); slices.ContainsFunc(locks, func(name string) bool { return strings.HasPrefix(name, "locks/") }) {
		t.Errorf("locks are left: %v", locks)
	}
	e.cmd = nil
}
