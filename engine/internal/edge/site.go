package edge

import (
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(new(Site)) }

// Site is the handler `http.handlers.lkhub_site`, which serves the files of one folder as a web site. Caddy's own
// file_server follows links out of its folder, and brings a template engine and a highlighter into the program
// (modules/caddyhttp/fileserver/command.go). No file outside Root is ever opened, whatever links are in it (os.Root).
type Site struct {
	// Root is the absolute path of the folder. It is opened for every request, so a build may replace it by a link to
	// another folder at any time.
	Root string `json:"root"`

	logger *zap.Logger
	// told is why Root could not be opened, as the log has it.
	told atomic.Pointer[string]
}

// CaddyModule tells Caddy the module's name.
func (*Site) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.lkhub_site", New: func() caddy.Module { return new(Site) }}
}

// Provision takes Caddy's logger.
func (s *Site) Provision(ctx caddy.Context) error {
	s.logger = ctx.Logger(s)
	return nil
}

// Validate refuses a folder that would depend on where the process was started.
func (s *Site) Validate() error {
	if !path.IsAbs(s.Root) {
		return errors.New("lkhub_site: root must be an absolute path")
	}
	return nil
}

// ServeHTTP answers every request; nothing comes after it.
func (s *Site) ServeHTTP(w http.ResponseWriter, request *http.Request, _ caddyhttp.Handler) error {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "this site has files only")
		return nil
	}
	root, err := openSite(s.Root)
	s.tell(err)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "this site is not there yet")
		return nil
	}
	defer root.Close()
	asked := path.Clean("/" + request.URL.Path)[1:]
	switch name, found := find(root, asked, strings.HasSuffix(request.URL.Path, "/")); {
	case !found:
		refuse(w, http.StatusNotFound, "there is no such file on this site")
	case name == path.Join(asked, "index.html") && asked != "" && !strings.HasSuffix(request.URL.Path, "/"):
		// The page's relative addresses start from its folder. A path, and not a URL: `//other.example` is another host.
		to := "/" + asked + "/"
		if request.URL.RawQuery != "" {
			to += "?" + request.URL.RawQuery
		}
		http.Redirect(w, request, escape(to), http.StatusPermanentRedirect)
	default:
		serve(w, request, root, name)
	}
	return nil
}

// tell logs why the folder can't be opened, once and not at each request. A site that is not built yet has no folder, and
// that is no error.
func (s *Site) tell(err error) {
	told := s.told.Load()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if told != nil {
			s.told.CompareAndSwap(told, nil)
		}
		return
	}
	if text := err.Error(); (told == nil || *told != text) && s.told.CompareAndSwap(told, &text) {
		s.logger.Error("a site can't be served from its folder, and visitors get a 503", zap.Error(err))
	}
}

// find returns the name of the file for a path without a leading slash: the file itself, the page of a folder, NAME.html
// for NAME, or the site's first page. An application in that page may know the path. What has an extension is the name of
// a file, and an old name of a file must not become a page that a browser then takes for a script.
func find(root *os.Root, asked string, isFolder bool) (string, bool) {
	if isHidden(asked) {
		return "", false
	}
	names := []string{path.Join(asked, "index.html")}
	if asked != "" && !isFolder {
		names = []string{asked, path.Join(asked, "index.html"), asked + ".html"}
	}
	if path.Ext(asked) == "" {
		names = append(names, "index.html")
	}
	for _, name := range names {
		if isFile(root, name) {
			return name, true
		}
	}
	return "", false
}

// isHidden tells whether a file or a folder on the way begins with a dot, such as .env and .git. Only /.well-known is
// for visitors (RFC 8615).
func isHidden(asked string) bool {
	for i, step := range strings.Split(asked, "/") {
		if strings.HasPrefix(step, ".") && (i > 0 || step != ".well-known") {
			return true
		}
	}
	return false
}

func isFile(root *os.Root, name string) bool {
	info, err := root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// encodings are the forms of a file that a build may put beside it, the smallest first.
var encodings = []struct{ name, suffix string }{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

func serve(w http.ResponseWriter, request *http.Request, root *os.Root, name string) {
	file, info, err := open(root, name)
	if err != nil { // removed just now
		refuse(w, http.StatusNotFound, "there is no such file on this site")
		return
	}
	header := w.Header()
	header.Set("Content-Type", typeOf(name))
	header.Set("Cache-Control", lifetimeOf(name))
	header.Add("Vary", "Accept-Encoding")
	suffix := ""
	for _, other := range encodings {
		if !accepts(request, other.name) {
			continue
		}
		smaller, itsInfo, err := open(root, name+other.suffix)
		if err != nil {
			continue
		}
		if itsInfo.ModTime().Before(info.ModTime()) { // of an earlier build
			_ = smaller.Close()
			continue
		}
		_ = file.Close()
		file, info, suffix = smaller, itsInfo, other.suffix
		header.Set("Content-Encoding", other.name)
		break
	}
	defer file.Close()
	header.Set("Etag", `"`+strconv.FormatInt(info.ModTime().UnixNano(), 36)+"-"+strconv.FormatInt(info.Size(), 36)+suffix+`"`)
	http.ServeContent(w, request, name, info.ModTime(), file)
}

// open opens a regular file. O_NONBLOCK: a pipe in its place would never open.
func open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func accepts(request *http.Request, encoding string) bool {
	for _, accepted := range encode.AcceptedEncodings(request, nil) {
		if accepted == encoding {
			return true
		}
	}
	return false
}

// types are those of a site's files that Go knows only where the machine has a list of them.
var types = map[string]string{
	".avif": "image/avif", ".gltf": "model/gltf+json", ".glb": "model/gltf-binary", ".ico": "image/x-icon",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".map": "application/json",
	".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".ogg": "audio/ogg", ".onnx": "application/octet-stream",
	".otf": "font/otf", ".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8", ".wav": "audio/wav", ".webm": "video/webm",
	".webmanifest": "application/manifest+json", ".woff": "font/woff", ".woff2": "font/woff2",
}

func typeOf(name string) string {
	extension := strings.ToLower(path.Ext(name))
	if known, ok := types[extension]; ok {
		return known
	}
	if known := mime.TypeByExtension(extension); known != "" {
		return known
	}
	return "application/octet-stream"
}

// lifetimeOf lets browsers keep a file for good whose name has a digest of its content. Of any other file they ask each
// time whether it has changed, which takes no second transfer.
func lifetimeOf(name string) string {
	if hasDigest(name) {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// builtFolders are where bundlers put files with a digest in their names: Vite, SvelteKit, Next.js, Astro, and those
// that have taken over webpack's.
var builtFolders = []string{"assets/", "_app/immutable/", "_next/static/", "_astro/", "static/js/", "static/css/", "static/media/"}

// digestLength is of Rollup's digests, which are in base64url; others are hexadecimal.
const digestLength = 8

// hasDigest goes by the last part of a name before its extensions: index-CdE4fGh1.js, main.3f2a1b4c9d.css. A part of
// lower-case letters alone is a word.
func hasDigest(name string) bool {
	built := false
	for _, folder := range builtFolders {
		built = built || strings.HasPrefix(name, folder) || strings.Contains(name, "/"+folder)
	}
	if !built {
		return false
	}
	base := strings.TrimSuffix(path.Base(name), ".map")
	stem := strings.TrimSuffix(base, path.Ext(base))
	if dot := strings.LastIndexByte(stem, '.'); dot >= 0 && isDigest(stem[dot+1:]) {
		return true
	}
	// A digest may have a dash in it, so its length tells where it begins.
	at := len(stem) - digestLength
	if at > 0 && stem[at-1] == '-' && isDigest(stem[at:]) {
		return true
	}
	dash := strings.LastIndexByte(stem, '-')
	return dash >= 0 && isDigest(stem[dash+1:])
}

func isDigest(text string) bool {
	hexadecimal, word := true, true
	for _, r := range text {
		letter := r >= 'a' && r <= 'z' || r == '_' || r == '-'
		if !letter && (r < '0' || r > '9') && (r < 'A' || r > 'Z') {
			return false
		}
		word = word && letter
		hexadecimal = hexadecimal && (r >= '0' && r <= '9' || r >= 'a' && r <= 'f')
	}
	return !word && (len(text) == digestLength || hexadecimal && len(text) > digestLength)
}

// escape makes a path safe for the field Location.
func escape(to string) string {
	return strings.NewReplacer("\\", "%5C", "\r", "%0D", "\n", "%0A").Replace(to)
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}

var (
	_ caddy.Provisioner           = (*Site)(nil)
	_ caddy.Validator             = (*Site)(nil)
	_ caddyhttp.MiddlewareHandler = (*Site)(nil)
)
