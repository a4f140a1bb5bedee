package sfu

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/redis/go-redis/v9"
)

const (
	answersNot = "answers not"
	refuses    = "refuses"
)

type refusal struct{}

func (refusal) Error() string {
	return "WRONGTYPE Operation against a key holding the wrong kind of value"
}
func (refusal) RedisError() {}

// troubled is a store that fails for rooms whose names say so.
type troubled struct {
	service.ObjectStore
	asked []string
}

func (s *troubled) DeleteRoom(_ context.Context, name livekit.RoomName) error {
	s.asked = append(s.asked, string(name))
	switch {
	case name == refuses:
		return refusal{}
	case strings.HasPrefix(string(name), answersNot):
		return &net.OpError{Op: "read", Err: errors.New("connection refused")}
	}
	return nil
}

// nodeMap is what Redis says of which room is on which node. It answers in the place of a server.
type nodeMap map[string]string

func (n nodeMap) DialHook(next redis.DialHook) redis.DialHook { return next }

func (n nodeMap) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (n nodeMap) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		switch cmd := cmd.(type) {
		case *redis.MapStringStringCmd:
			cmd.SetVal(n)
		case *redis.IntCmd: // HDEL
			delete(n, cmd.Args()[2].(string))
		}
		return nil
	}
}

// mendLeft has the rooms of a media process that was killed on the list, and mends it. It returns the rooms that are
// still on the list, and those whose deletion was tried.
func mendLeft(t *testing.T, rooms ...string) (listed, tried []string) {
	t.Helper()
	_, media, _ := startDeaf(t)
	nodes := nodeMap{"elsewhere": "another node"}
	for _, room := range rooms {
		nodes[room] = "node"
	}
	client, store := redis.NewClient(&redis.Options{}), &troubled{}
	client.AddHook(nodes)
	mender := newMender(media.server.RoomManager(), client, "node")
	mender.store = store
	first := time.Now()
	for _, at := range []time.Time{first, first.Add(closing - 1), first.Add(closing - 1)} {
		if err := mender.mend(t.Context(), at); err != nil || store.asked != nil {
			t.Fatal("too early", err, store.asked)
		}
	}
	if err := mender.mend(t.Context(), first.Add(closing+mending)); err == nil {
		t.Error("a room that is still on the list is no failure")
	}
	for room := range nodes {
		listed = append(listed, room)
	}
	return listed, store.asked
}

func TestRoomThatRedisRefusesKeepsNoOtherOnTheList(t *testing.T) {
	listed, tried := mendLeft(t, refuses, "one", "two", "three")
	slices.Sort(listed)
	if !slices.Equal(listed, []string{"elsewhere", refuses}) || len(tried) != 4 {
		t.Error(listed, tried)
	}
}

func TestRedisThatDoesNotAnswerIsAskedOnce(t *testing.T) {
	listed, tried := mendLeft(t, answersNot, answersNot+" either")
	if len(listed) != 3 || len(tried) != 1 {
		t.Error(listed, tried)
	}
}
