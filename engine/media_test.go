package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/process"
	"lkhub/engine/internal/turntest"
)

// The real server once: ready, keys, rooms, and a drain that ends when the last participant has left.
func TestMediaFromStartToDrain(t *testing.T) {
	dir := t.TempDir()
	secrets := map[string]string{}
	var ring strings.Builder
	for _, key := range []string{"APIz", "APIa", "APIm"} { // the file's order counts, not the alphabet's
		secrets[key] = strings.Repeat(strings.ToLower(key[3:]), 32)
		fmt.Fprintf(&ring, "%s: %s\n", key, secrets[key])
	}
	keyFile, secretFile := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "relay.secret")
	configFile, control := filepath.Join(dir, "livekit.yaml"), filepath.Join(dir, "c")
	hubRelay, relayAddress := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24)
	relayHost, relayPort, _ := net.SplitHostPort(relayAddress)
	turnServer := fmt.Sprintf("{host: %s, port: %s, protocol: udp, secret_file: %s}", relayHost, relayPort, secretFile)
	port := enginetest.FreePort(t)
	enginetest.WritePrivate(t, map[string]string{
		keyFile: ring.String(), secretFile: turntest.Secret + "\n", configFile: enginetest.LiveKitYAML(port, enginetest.FreePort(t), keyFile, turnServer),
	})
	var stdout, stderr bytes.Buffer
	media := engineCommand("media", "--config", configFile, "--control", control)
	media.Stdout, media.Stderr = &stdout, &stderr
	if err := media.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- media.Wait() }()
	t.Cleanup(func() {
		_ = media.Process.Kill()
		if t.Failed() {
			t.Logf("stderr:\n%s", &stderr)
		}
	})

	if status := enginetest.AskControl(t, control, "/ready"); status["state"] != string(process.Running) || fmt.Sprint(status["rooms"]) != "[]" {
		t.Fatalf("ready: %v", status)
	} else {
		checkKeys(t, "media-status", status)
	}
	// With three keys, the right one signs once by chance, but not six times in a row.
	var guests []*websocket.Conn
	for i := range 6 {
		key := []string{"APIz", "APIa", "APIm"}[i%3]
		guest, refreshedBy, ice := join(t, port, key, secrets[key], fmt.Sprintf("guest%d", i))
		checkICEServers(t, ice, hubRelay, relayAddress)
		if refreshedBy != "APIz" {
			t.Errorf("the refresh token of a guest with %s is signed with %s, want the current key APIz", key, refreshedBy)
		}
		guests = append(guests, guest)
	}
	if rooms := fmt.Sprint(enginetest.AskControl(t, control, "/status")["rooms"]); rooms != "[map[name:den participants:6]]" {
		t.Errorf("rooms: %s", rooms)
	}

	askWithStrangersKey(t, port)

	if err := media.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	enginetest.WaitForState(t, control, "draining")
	if rooms := fmt.Sprint(enginetest.AskControl(t, control, "/status")["rooms"]); rooms != "[map[name:den participants:6]]" {
		t.Errorf("rooms while draining: %s", rooms)
	}
	for _, guest := range guests {
		leave(t, guest)
	}
	waitForExit(t, media, ended)
	if code := media.ProcessState.ExitCode(); code != failure.ExitOK || stdout.Len() > 0 {
		t.Errorf("exit code %d, stdout %q", code, &stdout)
	}
	if !strings.Contains(stderr.String(), "AAAA…") {
		t.Error("the stranger's key is not in the log, or as long as it was")
	}
	for line := range strings.Lines(stderr.String()) {
		if len(line) > 3*2000 || strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("%d bytes in a line of the log: %.100q", len(line), line)
		}
	}
	for key, secret := range secrets {
		if strings.Contains(stderr.String(), secret) {
			t.Errorf("the secret of %s is in the log", key)
		}
	}
}

// askWithStrangersKey asks media with a token whose key is long and contains control characters for terminals.
func askWithStrangersKey(t *testing.T, port string) {
	t.Helper()
	token, err := auth.NewAccessToken("\x1b]0;\r\n"+strings.Repeat("A", 100_000), turntest.Secret).
		SetIdentity("stranger").SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "den"}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	request, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%s/rtc/validate", port), nil)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger's key: %s", response.Status)
	}
}

// A stop during the start: upstream's own Stop does nothing then, and would leave the server running.
func TestMediaStoppedWhileItStarts(t *testing.T) {
	dir := t.TempDir()
	keyFile, configFile, control := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "livekit.yaml"), filepath.Join(dir, "c")
	enginetest.WritePrivate(t, map[string]string{
		keyFile: "APIkey: " + strings.Repeat("s", 32), configFile: enginetest.LiveKitYAML(enginetest.FreePort(t), enginetest.FreePort(t), keyFile, ""),
	})
	media := engineCommand("media", "--config", configFile, "--control", control)
	if err := media.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = media.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- media.Wait() }()
	enginetest.AskControl(t, control, "/status") // answered from the start on; on a slow machine the start may be over, which is no failure
	_ = media.Process.Signal(syscall.SIGTERM)
	waitForExit(t, media, ended)
	if code := media.ProcessState.ExitCode(); code != failure.ExitOK {
		t.Errorf("exit code %d", code)
	}
}

func waitForExit(t *testing.T, cmd *exec.Cmd, ended chan error) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatalf("%v still runs after 10 s", cmd.Args)
	}
}

// checkICEServers expects the hub's relay and no other STUN server, with a credential that the relay accepts.
func checkICEServers(t *testing.T, servers []*livekit.ICEServer, hubRelay *testRelay, relayAddress string) {
	t.Helper()
	if len(servers) != 1 || fmt.Sprint(servers[0].Urls) != "[turn:"+relayAddress+"?transport=udp]" {
		t.Fatalf("ICE servers: %v", servers)
	}
	credential := turntest.Credential{Username: servers[0].Username, Password: servers[0].Credential}
	if code := turntest.NewClient(t, turntest.DialUDP(t, net.UDPAddrFromAddrPort(hubRelay.config.Listen[0]))).Allocate(credential); code != 0 {
		t.Errorf("Allocate with LiveKit's credential: %d", code)
	}
}

// join opens a participant's signalling connection, and returns the key that its refresh token is signed with and
// the ICE servers that it is told.
func join(t *testing.T, port, key, secret, identity string) (*websocket.Conn, string, []*livekit.ICEServer) {
	t.Helper()
	token, err := auth.NewAccessToken(key, secret).SetIdentity(identity).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: "den"}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	conn := openSignalling(t, "ws://127.0.0.1:"+port+"/rtc", token, url.Values{"protocol": {"15"}, "auto_subscribe": {"1"}})
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var ice []*livekit.ICEServer
	for {
		response, err := readResponse(conn)
		if err != nil {
			t.Fatalf("waiting for a refresh token: %v", err)
		}
		if joined := response.GetJoin(); joined != nil {
			ice = joined.IceServers
		}
		if refreshed := response.GetRefreshToken(); refreshed != "" {
			parsed, err := auth.ParseAPIToken(refreshed)
			if err != nil {
				t.Fatal(err)
			}
			return conn, parsed.APIKey(), ice
		}
	}
}

// openSignalling opens a participant's signalling connection, until the test ends.
func openSignalling(t *testing.T, address, token string, query url.Values) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial(address+"?"+query.Encode(), http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func readResponse(conn *websocket.Conn) (*livekit.SignalResponse, error) {
	_, data, err := conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	response := &livekit.SignalResponse{}
	return response, proto.Unmarshal(data, response)
}

func leave(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	sendRequest(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
}

func sendRequest(t *testing.T, conn *websocket.Conn, request *livekit.SignalRequest) {
	t.Helper()
	data, err := proto.Marshal(request)
	if err == nil {
		err = conn.WriteMessage(websocket.BinaryMessage, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}
