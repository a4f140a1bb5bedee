package edge

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// siteFiles are the files of the tests' site. A name is the content, too.
var siteFiles = []string{
	"index.html", "about.html", "docs/index.html", "docs/page.css", "assets/index-CdE4fGh1.js", "assets/index-CdE4fGh1.js.br",
	"assets/stale-CdE4fGh1.js", "assets/stale-CdE4fGh1.js.br", ".env", ".git/config", ".well-known/security.txt",
	"empty/.keep", "song.mp3",
}

// newSite has the path of a site's folder; beside it are `secret` and the folder `outside`.
func newSite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for _, name := range append([]string{"../secret", "../outside/page.html"}, siteFiles...) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"out.html": "../secret", "absolute.html": filepath.Join(dir, "secret"), "folder": "../outside", "within.html": "about.html",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.js"), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, "assets/stale-CdE4fGh1.js.br"), old, old); err != nil {
		t.Fatal(err)
	}
	return root
}

func askSite(t *testing.T, root, method, target string, header http.Header) *http.Response {
	t.Helper()
	request := httptest.NewRequest(method, "/", nil)
	request.URL.Path, request.URL.RawQuery, _ = strings.Cut(target, "?")
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	if err := (&Site{Root: root, logger: zap.NewNop()}).ServeHTTP(recorder, request, nil); err != nil {
		t.Fatal(err)
	}
	return recorder.Result()
}

func TestSiteHasItsFilesAndNoOther(t *testing.T) {
	root := newSite(t)
	const none = ""
	for asked, want := range map[string]string{
		"/": "index.html", "/index.html": "index.html", "/about": "about.html", "/about.html": "about.html",
		"/docs/": "docs/index.html", "/docs/page.css": "docs/page.css", "/within.html": "about.html",
		"/call/room/7": "index.html", "/empty": "index.html", "/empty/": "index.html", "/docs/../about.html": "about.html",
		"/.well-known/security.txt": ".well-known/security.txt", "//about.html": "about.html",
		"/assets/gone-Ab3dEf7h.js": none, "/favicon.ico": none, "/.env": none, "/.git/config": none, "/.git/": none,
		"/docs/.well-known/x": none, "/empty/.keep": none, "/out.html": none, "/absolute.html": none,
		"/folder/page.html": none, "/../secret": "index.html", "/../../secret.txt": none, "/..%2fsecret.txt": none,
		"/pipe.js": none, "/about.html\x00.js": none, `/..\secret.txt`: none,
	} {
		response := askSite(t, root, http.MethodGet, asked, nil)
		body := make([]byte, 100)
		n, _ := response.Body.Read(body)
		if want == none {
			if response.StatusCode != http.StatusNotFound || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q: %s %q", asked, response.Status, body[:n])
			}
		} else if response.StatusCode != http.StatusOK || string(body[:n]) != want {
			t.Errorf("%q: %s %q, want %q", asked, response.Status, body[:n], want)
		}
	}
}

func TestSiteFolderWithAPageEndsInASlash(t *testing.T) {
	root := newSite(t)
	for asked, want := range map[string]string{"/docs": "/docs/", "/docs?a=b": "/docs/?a=b", "//docs": "/docs/"} {
		response := askSite(t, root, http.MethodGet, asked, nil)
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || got != want {
			t.Errorf("%s: %s to %q, want %q", asked, response.Status, got, want)
		}
	}
}

func TestSiteServesTheSmallerFormThatIsBeside(t *testing.T) {
	root := newSite(t)
	for _, c := range []struct{ asked, accept, encoding, body string }{
		{"/assets/index-CdE4fGh1.js", "gzip, br", "br", "assets/index-CdE4fGh1.js.br"},
		{"/assets/index-CdE4fGh1.js", "gzip", "", "assets/index-CdE4fGh1.js"},
		{"/assets/index-CdE4fGh1.js", "br;q=0", "", "assets/index-CdE4fGh1.js"},
		{"/assets/stale-CdE4fGh1.js", "br", "", "assets/stale-CdE4fGh1.js"},
	} {
		response := askSite(t, root, http.MethodGet, c.asked, http.Header{"Accept-Encoding": {c.accept}})
		body := make([]byte, 100)
		n, _ := response.Body.Read(body)
		header := response.Header
		if header.Get("Content-Encoding") != c.encoding || string(body[:n]) != c.body || header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s with %s: %q %q", c.asked, c.accept, header.Get("Content-Encoding"), body[:n])
		}
		if !strings.HasPrefix(header.Get("Content-Type"), "text/javascript") {
			t.Errorf("%s is %s", c.asked, header.Get("Content-Type"))
		}
	}
}

func TestSiteAnswersRangesAndWhatABrowserHas(t *testing.T) {
	root := newSite(t)
	response := askSite(t, root, http.MethodGet, "/song.mp3", http.Header{"Range": {"bytes=0-3"}})
	if response.StatusCode != http.StatusPartialContent || response.Header.Get("Content-Range") != "bytes 0-3/8" {
		t.Errorf("range: %s %v", response.Status, response.Header)
	}
	tag := response.Header.Get("Etag")
	response = askSite(t, root, http.MethodGet, "/song.mp3", http.Header{"If-None-Match": {tag}})
	if response.StatusCode != http.StatusNotModified {
		t.Errorf("%s is had: %s", tag, response.Status)
	}
	response = askSite(t, root, http.MethodHead, "/song.mp3", nil)
	if response.StatusCode != http.StatusOK || response.ContentLength != 8 || response.Header.Get("Content-Type") != "audio/mpeg" {
		t.Errorf("HEAD: %s %v", response.Status, response.Header)
	}
	response = askSite(t, root, http.MethodPost, "/", nil)
	if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s %v", response.Status, response.Header)
	}
}

func TestSiteThatIsReplacedIsServedFromTheNextRequestOn(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "current")
	if response := askSite(t, root, http.MethodGet, "/", nil); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("no folder: %s", response.Status)
	}
	for _, version := range []string{"1", "2"} {
		if err := os.WriteFile(filepath.Join(must(os.MkdirTemp(dir, version)), "index.html"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
		made := must(filepath.Glob(filepath.Join(dir, version+"*")))
		_ = os.Remove(root)
		if err := os.Symlink(made[0], root); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 10)
		n, _ := askSite(t, root, http.MethodGet, "/", nil).Body.Read(body)
		if string(body[:n]) != version {
			t.Errorf("%q after version %s", body[:n], version)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestFilesWithADigestAreKeptForGood(t *testing.T) {
	var kept []string
	names := []string{
		"assets/index-CdE4fGh1.js", "assets/index--_E4fGh1.css", "assets/index-CdE4fGh1.js.map", "static/js/main.3f2a1b4c.js",
		"app/assets/a-CdE4fGh1.woff2", "_next/static/chunks/0f1e2d3c4b5a6978.js", "_astro/page.B3fz_9Xk.css",
		"index.html", "assets/my-component.js", "assets/jquery-3.7.1.min.js", "assets/logo.svg", "chapter-CdE4fGh1.js",
		"assets/CdE4fGh1.js", "assets/two-words-inside.js", "assets/lesson-12.mp3",
	}
	for _, name := range names {
		if lifetimeOf(name) != "no-cache" {
			kept = append(kept, name)
		}
	}
	if want := slices.Concat(names[:5], names[6:7]); !slices.Equal(kept, want) {
		t.Errorf("kept for good: %v, want %v", kept, want)
	}
}
