package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/enginetest"
)

// keyedMedia is a running media process, whose key file a test changes.
type keyedMedia struct {
	t       *testing.T
	port    string
	control string
	keyFile string
}

var keySecrets = map[string]string{"APIold": strings.Repeat("o", 32), "APInew": strings.Repeat("n", 32), "APIlast": strings.Repeat("l", 32)}

func startKeyedMedia(t *testing.T, more string, ids ...string) keyedMedia {
	t.Helper()
	dir := t.TempDir()
	m := keyedMedia{t, enginetest.FreePort(t), filepath.Join(dir, "c"), filepath.Join(dir, "keys.yaml")}
	configFile := filepath.Join(dir, "livekit.yaml")
	enginetest.WritePrivate(t, map[string]string{configFile: enginetest.LiveKitYAML(m.port, enginetest.FreePort(t), m.keyFile, "") + more})
	m.write(ids...)
	media := engineCommand("media", "--config", configFile, "--control", m.control)
	var log *bytes.Buffer
	t.Cleanup(func() { // after the cleanup of startMedia, which ends the process
		for id, secret := range keySecrets {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the secret of %s is in the log", id)
			}
		}
	})
	log = startMedia(t, media)
	enginetest.AskControl(t, m.control, "/ready")
	return m
}

func (m keyedMedia) write(ids ...string) {
	m.t.Helper()
	var text strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&text, "%s: %s\n", id, keySecrets[id])
	}
	enginetest.WritePrivate(m.t, map[string]string{m.keyFile: text.String()})
}

// reload lets media read these keys again.
func (m keyedMedia) reload(ids ...string) {
	m.t.Helper()
	m.write(ids...)
	if status, text := m.askReload(); status != http.StatusOK {
		m.t.Fatalf("reload: %d %s", status, text)
	}
}

func (m keyedMedia) askReload() (int, string) {
	m.t.Helper()
	response, err := enginetest.ControlClient(m.control).Post("http://control/reload", "", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func keyedToken(t *testing.T, id, identity string, grant auth.VideoGrant) string {
	t.Helper()
	signed, err := auth.NewAccessToken(id, keySecrets[id]).SetIdentity(identity).SetVideoGrant(&grant).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// ask is the status of a request with a token of this key, as a participant, as a server and as a client of WHIP.
func (m keyedMedia) ask(id string) []int {
	m.t.Helper()
	joins := keyedToken(m.t, id, "asking", auth.VideoGrant{RoomJoin: true, Room: "den"})
	lists := keyedToken(m.t, id, "", auth.VideoGrant{RoomList: true})
	var found []int
	for _, each := range []struct{ method, path, token string }{
		{http.MethodGet, "/rtc/validate", joins},
		{http.MethodGet, "/rtc/validate?access_token=" + joins, ""},
		{http.MethodPost, "/twirp/livekit.RoomService/ListRooms", lists},
	} {
		request, _ := http.NewRequest(each.method, "http://127.0.0.1:"+m.port+each.path, strings.NewReader("{}"))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Origin", "https://app.example.com")
		if each.token != "" {
			request.Header.Set("Authorization", "Bearer "+each.token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			m.t.Fatal(err)
		}
		response.Body.Close()
		if allowed := response.Header.Values("Access-Control-Allow-Origin"); len(allowed) != 1 {
			m.t.Errorf("%s: %d has Access-Control-Allow-Origin %v", each.path, response.StatusCode, allowed)
		}
		found = append(found, response.StatusCode)
	}
	return found
}

var (
	accepted = []int{200, 200, 200}
	refused  = []int{401, 401, 401}
)

func (m keyedMedia) expect(want map[string][]int) {
	m.t.Helper()
	for id, statuses := range want {
		if got := m.ask(id); !slices.Equal(got, statuses) {
			m.t.Errorf("requests with %s: %v, want %v", id, got, statuses)
		}
	}
}

// A rotation with a session in progress: media reads its keys again, the session gets a refresh token of the new key at
// once, and the old key works until it is gone, and then not for one more request.
func TestMediaReadsItsKeysAgain(t *testing.T) {
	m := startKeyedMedia(t, "", "APIold")
	m.expect(map[string][]int{"APIold": accepted, "APInew": refused})
	guest, refreshedBy, _ := join(t, m.port, "APIold", keySecrets["APIold"], "guest")
	if refreshedBy != "APIold" {
		t.Errorf("the first refresh token is of %s", refreshedBy)
	}
	m.reload("APInew", "APIold")
	m.expect(map[string][]int{"APIold": accepted, "APInew": accepted})
	refreshed := nextRefresh(t, guest)
	verifier, err := auth.ParseAPIToken(refreshed)
	if err != nil || verifier.APIKey() != "APInew" {
		t.Fatalf("the refresh token after the rotation is of %v: %v", verifier, err)
	}
	m.reload("APInew")
	m.expect(map[string][]int{"APIold": refused, "APInew": accepted})
	// The session lives on, and its client connects again with what it was given.
	if rooms := fmt.Sprint(enginetest.AskControl(t, m.control, "/status")["rooms"]); rooms != "[map[name:den participants:1]]" {
		t.Errorf("rooms: %s", rooms)
	}
	again := openSignalling(t, "ws://127.0.0.1:"+m.port+"/rtc", refreshed, url.Values{"protocol": {"15"}, "auto_subscribe": {"1"}})
	_ = again.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := readResponse(again); err != nil {
		t.Errorf("the client can't connect again: %v", err)
	}
	m.reload("APIlast", "APInew") // and once more, without a restart
	m.expect(map[string][]int{"APIold": refused, "APInew": accepted, "APIlast": accepted})
}

func nextRefresh(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		response, err := readResponse(conn)
		if err != nil {
			t.Fatalf("waiting for a refresh token: %v", err)
		}
		if refreshed := response.GetRefreshToken(); refreshed != "" {
			return refreshed
		}
	}
}

// Keys that can't be used change nothing, and no answer has a secret.
func TestMediaKeepsItsKeysIfTheFileIsBroken(t *testing.T) {
	m := startKeyedMedia(t, "", "APIold")
	hidden := strings.Repeat("SECRET", 8)
	for name, text := range map[string]string{
		"empty": "", "short": "APIa: SECRET", "a list": "- " + hidden, "half": "APIa: \"" + hidden, "no space": "APIa:" + hidden,
		"second short": "APInew: " + keySecrets["APInew"] + "\nAPIx: SECRET\n",
	} {
		enginetest.WritePrivate(t, map[string]string{m.keyFile: text})
		if status, answer := m.askReload(); status != http.StatusUnprocessableEntity || !strings.Contains(answer, "key file") || strings.Contains(answer, "SECRET") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		m.expect(map[string][]int{"APIold": accepted, "APInew": refused})
	}
	if err := os.Remove(m.keyFile); err != nil {
		t.Fatal(err)
	}
	if status, answer := m.askReload(); status != http.StatusUnprocessableEntity {
		t.Errorf("no file: %d %s", status, answer)
	}
	m.expect(map[string][]int{"APIold": accepted})
}

// Media says who came with which key, and how many participants connected with it. Its own requests do not count.
func TestMediaSaysWhoCameWithWhichKey(t *testing.T) {
	m := startKeyedMedia(t, "", "APInew", "APIold")
	join(t, m.port, "APIold", keySecrets["APIold"], "guest")
	m.ask("APInew")
	m.ask("APIlast") // refused, so it is not recorded
	var status struct {
		Keys []keyUse `json:"keys"`
	}
	text, _ := json.Marshal(enginetest.AskControl(t, m.control, "/status"))
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, key := range status.Keys {
		told = append(told, fmt.Sprint(key.ID, " ", key.Count, " ", key.Participants))
		for _, caller := range key.Callers {
			told = append(told, fmt.Sprint(caller.Kind, " ", caller.Address, " ", caller.Identity, " ", caller.Count))
			if age := time.Since(time.UnixMilli(int64(caller.At * 1000))); age < 0 || age > time.Minute {
				t.Errorf("%v was %s ago", caller, age)
			}
		}
	}
	slices.Sort(told)
	want := []string{
		"APInew 3 0", "APIold 1 1", "api 127.0.0.1  1", "join 127.0.0.1 asking 2", "join 127.0.0.1 guest 1",
	}
	if !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}

type keyUse struct {
	ID           string `json:"id"`
	Count        int    `json:"count"`
	Participants int    `json:"participants"`
	Callers      []struct {
		Kind     string  `json:"kind"`
		Address  string  `json:"address"`
		Identity string  `json:"identity"`
		Count    int     `json:"count"`
		At       float64 `json:"at"`
	} `json:"callers"`
}

// worker is a connected agent worker that takes every job.
type worker struct {
	conn *websocket.Conn
	jobs chan *livekit.JobAssignment
	gone chan struct{} // closed when its connection has ended
}

// An agent worker stays connected through a rotation, and its jobs' tokens are good. When its key is gone they would be
// refused, so it is disconnected, and can't come back with that key.
func TestMediaDisconnectsAgentsWhoseKeyIsGone(t *testing.T) {
	m := startKeyedMedia(t, "", "APIold")
	old := m.register("APIold", "old-helper")
	m.reload("APInew", "APIold")
	fresh := m.register("APInew", "new-helper")
	m.expectJob(old, "old-helper", "APIold")
	m.expectJob(fresh, "new-helper", "APInew")
	m.reload("APInew")
	select {
	case <-old.gone:
	case <-time.After(10 * time.Second):
		t.Error("the worker is still connected 10 s after its key was gone")
	}
	header := http.Header{"Authorization": {"Bearer " + keyedToken(t, "APIold", "", auth.VideoGrant{Agent: true})}}
	if _, response, err := websocket.DefaultDialer.Dial("ws://127.0.0.1:"+m.port+"/agent?protocol=1", header); err == nil || response.StatusCode != 401 {
		t.Errorf("a worker with the key that is gone: %v, %v", response, err)
	}
	m.expectJob(fresh, "new-helper", "APInew")
}

func (m keyedMedia) register(id, name string) worker {
	m.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + keyedToken(m.t, id, "", auth.VideoGrant{Agent: true})}}
	conn, _, err := websocket.DefaultDialer.Dial("ws://127.0.0.1:"+m.port+"/agent?protocol=1", header)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = conn.Close() })
	w := worker{conn, make(chan *livekit.JobAssignment, 10), make(chan struct{})}
	registered := make(chan struct{})
	go func() {
		defer close(w.gone)
		for {
			_, data, err := conn.ReadMessage()
			message := &livekit.ServerMessage{}
			if err != nil || proto.Unmarshal(data, message) != nil {
				return
			}
			if message.GetRegister() != nil {
				close(registered)
			}
			if available := message.GetAvailability(); available != nil {
				answer := &livekit.AvailabilityResponse{JobId: available.Job.Id, Available: true, ParticipantIdentity: "agent-" + available.Job.Id}
				w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_Availability{Availability: answer}})
			}
			if assigned := message.GetAssignment(); assigned != nil {
				w.jobs <- assigned
			}
		}
	}()
	w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_Register{Register: &livekit.RegisterWorkerRequest{
		Type: livekit.JobType_JT_ROOM, AgentName: name, AllowedPermissions: &livekit.ParticipantPermission{CanPublish: true, CanSubscribe: true},
	}}})
	select {
	case <-registered:
	case <-time.After(10 * time.Second):
		m.t.Fatal("the worker is not registered")
	}
	return w
}

// send does not report errors: a message that is lost is waited for.
func (w worker) send(message *livekit.WorkerMessage) {
	data, _ := proto.Marshal(message)
	_ = w.conn.WriteMessage(websocket.BinaryMessage, data)
}

// expectJob dispatches an agent to a new room, whose token is to be of this key.
func (m keyedMedia) expectJob(w worker, name, id string) {
	m.t.Helper()
	m.createRoom(fmt.Sprintf(`, "agents": [{"agent_name": %q}]`, name))
	select {
	case job := <-w.jobs:
		verifier, err := auth.ParseAPIToken(job.Token)
		if err != nil || verifier.APIKey() != id {
			m.t.Fatalf("the job's token is of %v: %v", verifier, err)
		}
		if _, _, err := verifier.Verify(keySecrets[id]); err != nil {
			m.t.Errorf("the job's token: %v", err)
		}
	case <-time.After(20 * time.Second):
		m.t.Fatalf("%s gets no job", name)
	}
}

// Webhooks are signed with the key that livekit.yaml names as long as media has it, otherwise with the current key.
func TestMediaSignsWebhooksWithAKeyThatItHas(t *testing.T) {
	for named, want := range map[string][]string{", api_key: APIold": {"APIold", "APIold", "APIlast"}, "": {"APInew", "APIlast", "APIlast"}} {
		signedBy := make(chan string, 100)
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			verifier, err := auth.ParseAPIToken(r.Header.Get("Authorization"))
			if err == nil {
				_, _, err = verifier.Verify(keySecrets[verifier.APIKey()])
			}
			if err != nil {
				signedBy <- err.Error()
				return
			}
			signedBy <- verifier.APIKey()
		}))
		m := startKeyedMedia(t, fmt.Sprintf("webhook: {urls: [%q]%s}\n", receiver.URL, named), "APInew", "APIold")
		for turn, ids := range [][]string{nil, {"APIlast", "APInew", "APIold"}, {"APIlast", "APInew"}} {
			if ids != nil {
				m.reload(ids...)
			}
			m.createRoom("")
			select {
			case got := <-signedBy:
				if got != want[turn] {
					t.Errorf("webhook: {%s}, keys %v: signed by %s, want %s", named, ids, got, want[turn])
				}
			case <-time.After(10 * time.Second):
				t.Error("no webhook")
			}
		}
		receiver.Close()
	}
}

// createRoom opens a new room. more has further members of the request.
func (m keyedMedia) createRoom(more string) {
	m.t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"name": "room-%d"%s}`, time.Now().UnixNano(), more))
	request, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+m.port+"/twirp/livekit.RoomService/CreateRoom", body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+keyedToken(m.t, "APInew", "", auth.VideoGrant{RoomCreate: true}))
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		m.t.Fatal(response, err)
	}
	response.Body.Close()
}
