package process

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
)

// fakeEngine does what its test says.
type fakeEngine struct {
	fail    error         // what Run returns
	starts  chan struct{} // Run is ready when this is closed; nil: at once
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

// served is a fake engine under Serve, with the test as its supervisor.
type served struct {
	*fakeEngine
	path    string
	signals chan os.Signal
	ended   chan error
}

func serveFake(t *testing.T, f *fakeEngine, limit time.Duration) *served {
	t.Helper()
	s := &served{f, filepath.Join(t.TempDir(), "c"), make(chan os.Signal, 3), make(chan error, 1)}
	go func() { s.ended <- Serve(f, s.path, nil, limit, s.signals) }()
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
			enginetest.AskControl(t, s.path, "/ready")
			s.signals <- syscall.SIGTERM
		}, failure.ExitOK},
		{"a busy one when it is empty", never, func(f *fakeEngine) { f.busy.Store(true) }, func(t *testing.T, s *served) {
			enginetest.AskControl(t, s.path, "/ready")
			s.signals <- syscall.SIGTERM
			enginetest.WaitForState(t, s.path, string(draining))
			if !s.drained.Load() {
				t.Error("the engine was not told to drain")
			}
			s.busy.Store(false)
		}, failure.ExitOK},
		{"a busy one at the limit", time.Millisecond, func(f *fakeEngine) { f.busy.Store(true) }, func(_ *testing.T, s *served) {
			s.signals <- syscall.SIGTERM
		}, failure.ExitOK},
		{"a busy one at the second signal", never, func(f *fakeEngine) { f.busy.Store(true) }, func(_ *testing.T, s *served) {
			s.signals <- syscall.SIGTERM
			s.signals <- syscall.SIGINT
		}, failure.ExitOK},
		{"a busy one at the limit that it is told", never, func(f *fakeEngine) { f.busy.Store(true) }, func(t *testing.T, s *served) {
			enginetest.AskControl(t, s.path, "/ready")
			if code := tellToDrain(t, s.path, `{"seconds": 0}`); code != http.StatusOK {
				t.Errorf("POST /drain: %d", code)
			}
		}, failure.ExitOK},
		{"a drain is told twice, and the later limit counts", never, func(f *fakeEngine) { f.busy.Store(true) }, func(t *testing.T, s *served) {
			enginetest.AskControl(t, s.path, "/ready")
			s.signals <- syscall.SIGTERM
			for _, limit := range []string{`{"seconds": 3600}`, `{"seconds": 3600}`} {
				enginetest.WaitForState(t, s.path, string(draining))
				tellToDrain(t, s.path, limit)
			}
			enginetest.WaitForState(t, s.path, string(draining))
			tellToDrain(t, s.path, `{"seconds": 0}`)
		}, failure.ExitOK},
		{"a limit that makes no sense is refused, and nothing stops", never, nil, func(t *testing.T, s *served) {
			enginetest.AskControl(t, s.path, "/ready")
			endless := strings.Repeat(" ", maxBody) + `{"seconds": 0}`
			for _, limit := range []string{"", "{}", `{"seconds": -1}`, `{"seconds": 1e18}`, `{"seconds": 99999999999}`, endless} {
				if code := tellToDrain(t, s.path, limit); code != http.StatusBadRequest {
					t.Errorf("POST /drain %.20q: %d", limit, code)
				}
			}
			enginetest.WaitForState(t, s.path, string(Running))
			s.signals <- syscall.SIGTERM
		}, failure.ExitOK},
		{"a stuck one at the next signal", never, func(f *fakeEngine) { f.stuck = true }, func(_ *testing.T, s *served) {
			s.signals <- syscall.SIGTERM
			s.signals <- syscall.SIGTERM
		}, failure.ExitOK},
		{"an engine that fails", never, func(f *fakeEngine) { f.fail = syscall.EADDRINUSE }, nil, failure.ExitMachine},
		{"an engine that ends unasked", never, func(f *fakeEngine) { close(f.stopped) }, nil, failure.ExitNotWell},
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
			exit := failure.ExitOK
			if err := s.wait(t); err != nil {
				exit = failure.Of(err).Exit
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
	go func() { ready <- enginetest.AskControl(t, s.path, "/ready") }()
	for range 10 {
		enginetest.WaitForState(t, s.path, string(starting))
	}
	select {
	case <-ready:
		t.Fatal("/ready answered before the engine was")
	default:
	}
	close(fake.starts)
	if status := <-ready; status["state"] != string(Running) || status["pid"] != float64(os.Getpid()) {
		t.Errorf("/ready answered %v", status)
	}
	s.signals <- syscall.SIGTERM
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestEngineThatIsReadyOnlyAfterItsDrainBeganIsStillDraining(t *testing.T) {
	fake := newFake()
	fake.starts = make(chan struct{})
	fake.busy.Store(true)
	s := serveFake(t, fake, time.Hour)
	s.signals <- syscall.SIGTERM
	enginetest.WaitForState(t, s.path, string(draining))
	close(fake.starts)
	if status := enginetest.AskControl(t, s.path, "/ready"); status["state"] != string(draining) {
		t.Errorf("/ready answered %v", status)
	}
	fake.busy.Store(false)
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
}

func TestPanicInRunIsABug(t *testing.T) {
	fake := newFake()
	fake.starts = make(chan struct{})
	close(fake.starts)
	err := runGuarded(fake, func() { panic("boom") })
	if f := failure.Of(err); f.Exit != failure.ExitBug || !strings.Contains(f.Message, "boom") {
		t.Errorf("%+v", f)
	}
}

// tellToDrain returns the HTTP status of POST /drain.
func tellToDrain(t *testing.T, path, body string) int {
	t.Helper()
	response, err := enginetest.ControlClient(path).Post("http://control/drain", "application/json", strings.NewReader(body))
	if err != nil {
		t.Errorf("/drain: %v", err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestTheControlSocketIsThereAgainAfterItWasRemoved(t *testing.T) {
	s := serveFake(t, newFake(), time.Second)
	enginetest.Eventually(t, "an answer", func() bool { return answers(s.path) })
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
		enginetest.Eventually(t, what, func() bool { return answers(s.path) })
	}
	s.signals <- syscall.SIGTERM
	if err := s.wait(t); err != nil {
		t.Fatal(err)
	}
	if exists(s.path) {
		t.Error("the socket is left over")
	}
}

// failing is a listener whose Accept fails before it works, as when the system has no memory for a connection.
type failing struct {
	net.Listener
	left atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", syscall.ENOMEM)}
	}
	return f.Listener.Accept()
}

func TestTheControlSocketOutlivesErrorsOfAccept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	bound, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	// As with an inherited socket. If the socket's file were removed, Serve would bind another socket a second later.
	bound.(*net.UnixListener).SetUnlinkOnClose(false)
	listener := &failing{Listener: bound}
	listener.left.Store(3)
	s := &served{newFake(), path, make(chan os.Signal, 3), make(chan error, 1)}
	go func() { s.ended <- Serve(s.fakeEngine, path, listener, time.Hour, s.signals) }()
	enginetest.AskControl(t, path, "/ready")
	s.signals <- syscall.SIGTERM
	if err := s.wait(t); err != nil {
		t.Fatal(err)
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

// The supervisor has bound the socket, in a directory that is no longer writable.
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
	inherited, err := InheritControl("media", FDs{duplicate(t, file)})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{newFake(), path, make(chan os.Signal, 3), make(chan error, 1)}
	go func() { s.ended <- Serve(s.fakeEngine, path, inherited, time.Hour, s.signals) }()
	enginetest.AskControl(t, path, "/ready")
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
	if _, err := InheritControl("media", FDs{duplicate(t, file)}); err == nil || failure.Of(err).Exit != failure.ExitUsage {
		t.Errorf("error %v", err)
	}
	if inherited, err := InheritControl("media", nil); inherited != nil || err != nil {
		t.Errorf("%v, %v", inherited, err)
	}
}

// duplicate returns a copy of the descriptor, for a function that closes it.
func duplicate(t *testing.T, file *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// successorEngine is an engine that can leave new clients to another process.
type successorEngine struct {
	*fakeEngine
	handedOver atomic.Bool
}

func (s *successorEngine) HandOver() { s.handedOver.Store(true) }

func TestADrainHandsOverOnlyIfItIsToldTo(t *testing.T) {
	for body, want := range map[string]bool{`{"seconds": 60}`: false, `{"seconds": 60, "hand_over": true}`: true} {
		f := &successorEngine{fakeEngine: newFake()}
		f.busy.Store(true)
		s := &served{f.fakeEngine, filepath.Join(t.TempDir(), "c"), make(chan os.Signal, 3), make(chan error, 1)}
		go func() { s.ended <- Serve(f, s.path, nil, time.Hour, s.signals) }()
		enginetest.AskControl(t, s.path, "/ready")
		if code := tellToDrain(t, s.path, body); code != http.StatusOK {
			t.Errorf("POST /drain %s: %d", body, code)
		}
		if got := f.handedOver.Load(); got != want {
			t.Errorf("%s: handed over: %v", body, got)
		}
		f.busy.Store(false)
		if err := s.wait(t); err != nil {
			t.Error(err)
		}
	}
}
