package process

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lkhub/engine/internal/enginetest"
)

// fakeHolder is a fake engine that accepts from sockets of its supervisor.
type fakeHolder struct {
	*fakeEngine
	held []net.Listener
}

func (f fakeHolder) Held() []net.Listener { return f.held }

// serveOn runs an engine until the end of the test. It returns the path of its control socket.
func serveOn(t *testing.T, e Engine) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c")
	signals, ended := make(chan os.Signal, 1), make(chan error, 1)
	go func() { ended <- Serve(e, path, nil, time.Hour, signals) }()
	enginetest.AskControl(t, path, "/ready")
	t.Cleanup(func() {
		signals <- syscall.SIGTERM
		<-ended
	})
	return path
}

// askForSockets returns the whole answer, and the sockets that came with it.
func askForSockets(t *testing.T, path string) (string, []net.Listener) {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET /sockets HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var answer strings.Builder
	var came []net.Listener
	data, control := make([]byte, 4096), make([]byte, 4096)
	for {
		n, rights, _, _, err := conn.ReadMsgUnix(data, control)
		if err != nil || n == 0 {
			return answer.String(), came
		}
		answer.Write(data[:n])
		messages, err := syscall.ParseSocketControlMessage(control[:rights])
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range messages {
			fds, err := syscall.ParseUnixRights(&message)
			if err != nil {
				t.Fatal(err)
			}
			for _, fd := range fds {
				// Giver and receiver share this, and the giver still accepts.
				if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
					t.Errorf("the socket blocks: flags %#x, %v", flags, err)
				}
				listener, err := inheritOne(fd)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { listener.Close() })
				came = append(came, listener)
			}
		}
	}
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// The socket stays open when the process that gave it has closed its own.
func TestHeldSocketsAreGivenToWhoeverAsks(t *testing.T) {
	one, other := listenTCP(t), listenTCP(t)
	path := serveOn(t, fakeHolder{newFake(), []net.Listener{one, other}})
	answer, came := askForSockets(t, path)
	if len(came) != 2 || came[0].Addr().String() != one.Addr().String() || came[1].Addr().String() != other.Addr().String() {
		t.Fatalf("sockets %v", came)
	}
	if !strings.HasPrefix(answer, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(answer, "\r\n\r\n"+one.Addr().String()+"\n"+other.Addr().String()+"\n") {
		t.Errorf("answer %q", answer)
	}
	one.Close()
	client, err := net.Dial("tcp", came[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := came[0].Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
}

func TestSocketThatIsClosedIsNotGiven(t *testing.T) {
	closed, open := listenTCP(t), listenTCP(t)
	closed.Close()
	path := serveOn(t, fakeHolder{newFake(), []net.Listener{closed, open}})
	if _, came := askForSockets(t, path); len(came) != 1 || came[0].Addr().String() != open.Addr().String() {
		t.Errorf("sockets %v", came)
	}
	enginetest.AskControl(t, path, "/ready")
}

func TestEngineWithoutHeldSocketsHasNoneToGive(t *testing.T) {
	path := serveOn(t, newFake())
	response, err := enginetest.ControlClient(path).Get("http://control/sockets")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", response.StatusCode)
	}
}
