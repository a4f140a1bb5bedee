package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fakeEngine does what its test tells it.
type fakeEngine struct {
	fail    error         // what Run returns
	starts  chan struct{} // Run is ready when this is closed; nil is at once
	busy    atomic.Bool
	drained atomic.Bool
	stopped chan struct{} // Run returns when this is closed
	stuck   bool          // Stop does nothing
}

func newFake() *fakeEngine { return &fakeEngine{stopped: make(chan struct{})} }

func (f *fakeEngine) Run(ready func()) error {
	if f.fail != nil {
		return f.fail
	}
	if f.starts != nil {
		<-f.starts
	}
	ready()
	<-f.stopped
	return nil
}

func (f *fakeEngine) Busy() bool { return f.busy.Load() }
func (f *fakeEngine) Drain()     { f.drained.Store(true) }
func (f *fakeEngine) Stop() {
	if !f.stuck {
		close(f.stopped)
	}
}
func (f *fakeEngine) Status(context.Context) (map[string]any, error) {
	return map[string]any{"busy": f.busy.Load()}, nil
}

// served is a fake engine under serve, with the test as its supervisor.
type served struct {
	*fakeEngine
	path    string
	signals chan os.Signal
	ended   chan error
}

func serveFake(t *testing.T, f *fakeEngine, limit time.Duration) *served {
	t.Helper()
	s := &served{f, filepath.Join(t.TempDir(), "c"), make(chan os.Signal, 3), make(chan error, 1)}
	go func() { s.ended <- serve(f, s.path, nil, limit, s.signals) }()
	return s
}

func (s *served) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(time.Minute):
		t.Fatal("serve has not returned after a minute")
		return nil
	}
}

func TestServeEndsAsTheEngineOrASignalSays(t *testing.T) {
	const never = time.Hour
	for _, c := range []struct {
		name  string
		limit time.Duration
		fake  func(*fakeEngine)
		act   func(*testing.T, *served)
		exit  int
	}{
		{"an empty engine stops at once", never, nil, func(t *testing.T, s *served) {
			askControl(t, s.path, "/ready")
			s.signals <- syscall.SIGTERM
		}, exitOK},
		{"a busy one when it is empty", never, func(f *fakeEngine) { f.busy.Store(true) }, func(t *testing.T, s *served) {
			askControl(t, s.path, "/ready")
			s.signals <- syscall.SIGTERM
			waitForState(t, s.path, draining)
			if !s.drained.Load() {
				t.Error("the engine was not told to drain")
			}
			s.busy.Store(false)
		}, exitOK},
		{"a busy one at the limit", time.Millisecond, func(f *fakeEngine) { f.busy.Store(true) }, func(_ *testing.T, s *served) {
			s.signals <- syscall.SIGTERM
		}, exitOK},
		{"a busy one at the second signal", never, func(f *fakeEngine) { f.busy.Store(true) }, func(_ *testing.T, s *served) {
			s.signals <- syscall.SIGTERM
			s.signals <- syscall.SIGINT
		}, exitOK},
		{"a busy one at the limit that it is told", never, func(f *fakeEngine) { f.busy.Store(true) }, func(t *testing.T, s *served) {
			askControl(t, s.path, "/ready")
			if code := tellToDrain(t, s.path, `{"seconds": 0}`); code != http.StatusOK {
				t.Errorf("POST /drain: %d", code)
			}
		}, exitOK},
		{"a drain is told twice, and the later limit counts", never, func(f *fakeEngine) { f.busy.Store(true) }, func(t *testing.T, s *served) {
			askControl(t, s.path, "/ready")
			s.signals <- syscall.SIGTERM
			for _, limit := range []string{`{"seconds": 3600}`, `{"seconds": 3600}`} {
				waitForState(t, s.path, draining)
				tellToDrain(t, s.path, limit)
			}
			waitForState(t, s.path, draining)
			tellToDrain(t, s.path, `{"seconds": 0}`)
		}, exitOK},
		{"a limit that makes no sense is refused, and nothing stops", never, nil, func(t *testing.T, s *served) {
			askControl(t, s.path, "/ready")
			for _, limit := range []string{"", "{}", `{"seconds": -1}`, `{"seconds": 1e18}`, `{"seconds": 99999999999}`} {
				if code := tellToDrain(t, s.path, limit); code != http.StatusBadRequest {
					t.Errorf("POST /drain %q: %d", limit, code)
				}
			}
			waitForState(t, s.path, running)
			s.signals <- syscall.SIGTERM
		}, exitOK},
		{"a stuck one at the next signal", never, func(f *fakeEngine) { f.stuck = true }, func(_ *testing.T, s *served) {
			s.signals <- syscall.SIGTERM
			s.signals <- syscall.SIGTERM
		}, exitOK},
		{"an engine that fails", never, func(f *fakeEngine) { f.fail = syscall.EADDRINUSE }, nil, exitMachine},
		{"an engine that ends unasked", never, func(f *fakeEngine) { close(f.stopped) }, nil, exitNotWell},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := newFake()
			if c.fake != nil {
				c.fake(fake)
			}
			s := serveFake(t, fake, c.limit)
			if c.act != nil {
				c.act(t, s)
			}
			exit := exitOK
			if err := s.wait(t); err != nil {
				exit = classify(err).exit
			}
			if exit != c.exit {
				t.Errorf("exit code %d, want %d", exit, c.exit)
			}
			if _, err := os.Lstat(s.path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the control socket is still there: %v", err)
			}
		})
	}
}

func TestReadyWaitsAndStatusDoesNot(t *testing.T) {
	fake := newFake()
	fake.starts = make(chan struct{})
	s := serveFake(t, fake, 0)
	ready := make(chan map[string]any, 1)
	go func() { ready <- askControl(t, s.path, "/ready") }()
	for range 10 {
		waitForState(t, s.path, starting)
	}
	select {
	case <-ready:
		t.Fatal("/ready answered before the engine was")
	default:
	}
	close(fake.starts)
	if status := <-ready; status["state"] != string(running) || status["pid"] != float64(os.Getpid()) {
		t.Errorf("/ready answered %v", status)
	}
	s.signals <- syscall.SIGTERM
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestPanicInRunIsABug(t *testing.T) {
	fake := newFake()
	fake.starts = make(chan struct{})
	close(fake.starts)
	err := runGuarded(fake, func() { panic("boom") })
	if f := classify(err); f.exit != exitBug || !strings.Contains(f.message, "boom") {
		t.Errorf("%+v", f)
	}
}

// waitForState asks until the process is in a state.
func waitForState(t *testing.T, path string, want state) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if askControl(t, path, "/status")["state"] == string(want) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("not %s after 10 s", want)
}

// tellToDrain answers with the HTTP status of POST /drain.
func tellToDrain(t *testing.T, path, body string) int {
	t.Helper()
	response, err := controlClient(path).Post("http://control/drain", "application/json", strings.NewReader(body))
	if err != nil {
		t.Errorf("/drain: %v", err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// askControl waits for the socket to be there, then asks once.
func askControl(t *testing.T, path, what string) map[string]any {
	t.Helper()
	response, err := controlClient(path).Get("http://control" + what)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s: %s: %q", what, response.Status, body)
	}
	return answer
}

// controlClient waits for the socket at path.
func controlClient(path string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialUntil(ctx, path)
		},
	}}
}

func dialUntil(ctx context.Context, path string) (net.Conn, error) {
	for {
		conn, err := net.Dial("unix", path)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTheControlSocketIsThereAgainAfterItWasRemoved(t *testing.T) {
	s := serveFake(t, newFake(), time.Second)
	eventually(t, "an answer", func() bool { return answers(s.path) })
	for what, remove := range map[string]func(){
		"the socket":      func() { os.Remove(s.path) },
		"its whole place": func() { os.RemoveAll(filepath.Dir(s.path)) },
	} {
		remove()
		if answers(s.path) {
			t.Fatalf("%s: it is still there", what)
		}
		if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
			t.Fatal(err)
		}
		eventually(t, what, func() bool { return answers(s.path) })
	}
	s.signals <- syscall.SIGTERM
	if err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	if exists(s.path) {
		t.Error("the socket is left over")
	}
}

func answers(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// The supervisor has bound the socket, in a directory that can't be written any more.
func TestInheritedControlSocketIsUsedAndLeftInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	bound, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	file, err := bound.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inherited, err := inheritControl("media", fdList{duplicate(t, file)})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{newFake(), path, make(chan os.Signal, 3), make(chan error, 1)}
	go func() { s.ended <- serve(s.fakeEngine, path, inherited, time.Hour, s.signals) }()
	askControl(t, path, "/ready")
	s.signals <- syscall.SIGTERM
	if err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	if !exists(path) {
		t.Error("the next process has no control socket")
	}
}

func TestControlDescriptorThatIsNoSocketIsRefused(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := inheritControl("media", fdList{duplicate(t, file)}); err == nil || classify(err).exit != exitUsage {
		t.Errorf("error %v", err)
	}
	if inherited, err := inheritControl("media", nil); inherited != nil || err != nil {
		t.Errorf("%v, %v", inherited, err)
	}
}

// duplicate gives a descriptor of its own to what closes it.
func duplicate(t *testing.T, file *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
