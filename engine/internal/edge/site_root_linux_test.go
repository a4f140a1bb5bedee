package edge

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

const ann, bob = 65533, 65534

// newUsersFolder has a folder of each of three users, with a site in it.
func newUsersFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, uid := range map[string]int{"root": 0, "ann": ann, "bob": bob} {
		site := filepath.Join(dir, name, "site")
		if err := os.MkdirAll(site, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(site, "index.html"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{filepath.Dir(site), site} {
			if err := os.Lchown(path, uid, uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func link(t *testing.T, to, path string, maker int) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, maker, maker); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, site *Site) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	if err := site.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil), nil); err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(recorder.Result().Body)
	return recorder.Code, string(body)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives a link to another user")
	}
}

func TestSiteIsReachedByNoLinkOfAUserToAFolderOfAnother(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name, to string
		maker    int
		path     string // of the site, after the link
		served   string
	}{
		{"link of root to a folder of root's", "DIR/root/site", 0, "", "root"},
		{"link of root to a folder of another", "DIR/ann/site", 0, "", "ann"},
		{"link to a folder of the maker's", "DIR/ann/site", ann, "", "ann"},
		{"relative, with dots", "../bob/.././ann//site/", ann, "", "ann"},
		{"on the way to a folder of the maker's", "DIR/ann", ann, "site", "ann"},
		{"through a link of root's", "DIR/by-root/ann/site", ann, "", "ann"},
		{"link to a folder of root's", "DIR/root/site", ann, "", ""},
		{"relative link to a folder of root's", "../root/site", ann, "", ""},
		{"link to a folder of another user", "DIR/bob/site", ann, "", ""},
		{"on the way to a folder of root's", "DIR/root", ann, "site", ""},
		{"through a link of root's to a folder of root's", "DIR/by-root/root/site", ann, "", ""},
		{"through a link of the folder's owner", "DIR/by-bob", ann, "", ""},
		{"through the folder of the maker's", "DIR/ann/../root/site", ann, "", ""},
		{"whole machine", "/", ann, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := newUsersFolder(t)
			link(t, ".", filepath.Join(dir, "by-root"), 0)
			link(t, "bob/site", filepath.Join(dir, "by-bob"), bob)
			link(t, strings.ReplaceAll(c.to, "DIR", dir), filepath.Join(dir, "ann/link"), c.maker)
			status, body := get(t, &Site{Root: filepath.Join(dir, "ann/link", c.path), logger: zap.NewNop()})
			if c.served == "" && status != http.StatusServiceUnavailable || c.served != "" && body != c.served {
				t.Errorf("%d %q, want %q", status, body, c.served)
			}
		})
	}
}

// A user may exchange the link at any time; the log has a line for each reason, and not for each request.
func TestSiteThatIsReachedByALinkOfAUserIsToldOnce(t *testing.T) {
	needRoot(t)
	dir := newUsersFolder(t)
	core, logs := observer.New(zapcore.InfoLevel)
	path := filepath.Join(dir, "ann/link")
	site := &Site{Root: path, logger: zap.New(core)}
	const refused = http.StatusServiceUnavailable
	const made = "it is, or is reached by, a link that user 65533 has made to a folder of user "
	for _, c := range []struct {
		to     string
		status int
		said   string
	}{
		{"../gone", refused, ""}, {"../root/site", refused, made + "0"}, {"site", 200, ""},
		{"../bob/site", refused, made + "65534"}, {"../root", refused, made + "0"},
		{"link", refused, "too many levels of symbolic links"}, {"site/index.html", refused, "not a directory"},
	} {
		_ = os.Remove(path)
		link(t, c.to, path, ann)
		for range 3 {
			if status, _ := get(t, site); status != c.status {
				t.Errorf("%s: %d", c.to, status)
			}
		}
		all := logs.TakeAll()
		var said []string
		for _, entry := range all {
			said = append(said, fmt.Sprint(entry.ContextMap()["error"]))
		}
		if c.said == "" && len(said) > 0 || c.said != "" && (len(said) != 1 || said[0] != path+": "+c.said) {
			t.Errorf("%s: %q", c.to, said)
		}
	}
}

func TestSiteThatIsAPipeEndsNoRequestLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, &Site{Root: path, logger: zap.NewNop()}); status != http.StatusServiceUnavailable {
		t.Error(status)
	}
}

func TestSiteIsReachedByAsManyLinksAsLinuxFollows(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "0"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range mostLinks + 1 {
		name := filepath.Join(dir, strconv.Itoa(i+1))
		link(t, strconv.Itoa(i), name, os.Geteuid())
		root, err := openSite(name)
		if (err == nil) != (i < mostLinks) {
			t.Fatalf("%d links: %v", i+1, err)
		}
		if err == nil {
			_ = root.Close()
		}
	}
}

// Whatever is at a path and on the way to it, no descriptor stays open.
func TestSiteLeavesNoDescriptor(t *testing.T) {
	dir := newLinkedFolder(t)
	before := len(must(os.ReadDir("/proc/self/fd")))
	for range 50 {
		for _, path := range []string{"site", "link/site", "absolute/site", "gone", "gone/site", "site/index.html", "site/index.html/x", "loop", ""} {
			if root, err := openSite(filepath.Join(dir, path)); err == nil {
				_ = root.Close()
			}
		}
	}
	if after := len(must(os.ReadDir("/proc/self/fd"))); after > before+50 { // others of the process come and go
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

func newLinkedFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "site"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "site/index.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, to := range map[string]string{"link": ".", "absolute": dir, "loop": "loop"} {
		link(t, to, filepath.Join(dir, path), os.Geteuid())
	}
	return dir
}

func BenchmarkOpenSite(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		root, err := openSite(dir)
		if err != nil {
			b.Fatal(err)
		}
		_ = root.Close()
	}
}

func BenchmarkOpenRoot(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		root, err := os.OpenRoot(dir)
		if err != nil {
			b.Fatal(err)
		}
		_ = root.Close()
	}
}
