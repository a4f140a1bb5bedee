package sfu

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
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

// leftRooms is what a killed process of the node "node" has left in Redis. As a store it fails for rooms whose names say
// so. As a hook it answers in the place of a server.
type leftRooms struct {
	service.ObjectStore
	rooms   map[livekit.RoomName]*livekit.Room
	nodes   map[string]string
	written map[string]string // by nodes, of themselves
	people  map[string]int64  // in the list of each room
	asked   []string          // the rooms that it was asked to delete
}

func (l *leftRooms) LoadRoom(_ context.Context, name livekit.RoomName, _ bool) (*livekit.Room, *livekit.RoomInternal, error) {
	if room := l.rooms[name]; room != nil {
		return room, nil, nil
	}
	return nil, nil, service.ErrRoomNotFound
}

func (l *leftRooms) DeleteRoom(_ context.Context, name livekit.RoomName) error {
	l.asked = append(l.asked, string(name))
	switch {
	case name == refuses:
		return refusal{}
	case strings.HasPrefix(string(name), answersNot):
		return &net.OpError{Op: "read", Err: errors.New("connection refused")}
	}
	return nil
}

func (l *leftRooms) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *leftRooms) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *leftRooms) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		key, _ := cmd.Args()[1].(string)
		room := strings.TrimPrefix(key, service.RoomParticipantsPrefix)
		switch cmd.Name() {
		case "hgetall":
			cmd.(*redis.MapStringStringCmd).SetVal(map[string]map[string]string{
				routing.NodesKey: l.written, routing.NodeRoomKey: l.nodes,
			}[key])
		case "hlen":
			cmd.(*redis.IntCmd).SetVal(l.people[room])
		case "del":
			delete(l.people, room)
		case "hdel":
			if key != routing.NodeRoomKey {
				return errors.New("not expected: " + cmd.String())
			}
			delete(l.nodes, cmd.Args()[2].(string))
		}
		return nil
	}
}

// write notes a node.
func (l *leftRooms) write(id string, at time.Time) {
	text, _ := proto.Marshal(&livekit.Node{Id: id, Stats: &livekit.NodeStats{UpdatedAt: at.Unix()}})
	l.written[id] = string(text)
}

// listed are the rooms that Redis has.
func (l *leftRooms) listed() []string {
	var rooms []string
	for room := range l.nodes {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	return rooms
}

func newLeftRooms(t *testing.T, rooms ...*livekit.Room) (*mender, *leftRooms) {
	t.Helper()
	_, media, _ := startDeaf(t)
	left := &leftRooms{
		rooms: map[livekit.RoomName]*livekit.Room{}, nodes: map[string]string{"elsewhere": "another"},
		people: map[string]int64{"elsewhere": 1}, written: map[string]string{},
	}
	left.write("another", time.Now().Add(time.Hour))
	for _, room := range rooms {
		left.rooms[livekit.RoomName(room.Name)], left.nodes[room.Name] = room, "node"
		left.people[room.Name] = int64(room.NumParticipants)
	}
	client := redis.NewClient(&redis.Options{})
	client.AddHook(left)
	mender := newMender(media.server.RoomManager(), client, "node")
	mender.store = left
	return mender, left
}

func TestRoomsOfAKilledMediaEndWhenTheirTimeIsOver(t *testing.T) {
	mender, left := newLeftRooms(t,
		&livekit.Room{Name: "for later", EmptyTimeout: 600, DepartureTimeout: 20},
		&livekit.Room{Name: "in a call", EmptyTimeout: 600, DepartureTimeout: 20, NumParticipants: 2},
		&livekit.Room{Name: "short", EmptyTimeout: 1, DepartureTimeout: 1, NumParticipants: 1},
	)
	first := time.Now()
	for _, row := range []struct {
		after  time.Duration
		rooms  []string
		people int64
	}{
		{0, []string{"elsewhere", "for later", "in a call", "short"}, 2},
		{closing - 1, []string{"elsewhere", "for later", "in a call", "short"}, 2},
		{closing + mending, []string{"elsewhere", "for later", "in a call"}, 0},
		{20*time.Second + mending, []string{"elsewhere", "for later"}, 0},
		{600*time.Second - 1, []string{"elsewhere", "for later"}, 0},
		{600*time.Second + mending, []string{"elsewhere"}, 0},
	} {
		if err := mender.mend(t.Context(), first.Add(row.after)); err != nil {
			t.Fatal(err)
		}
		if got := left.listed(); !slices.Equal(got, row.rooms) || left.people["in a call"] != row.people {
			t.Errorf("after %s: %v, %v", row.after, got, left.people)
		}
	}
	if left.people["elsewhere"] != 1 {
		t.Error("people of another node are deleted")
	}
}

// A node on the other ports of the hub may have been killed too. In an outage no node is written.
func TestRoomsOfAnotherNodeEndIfItHasEnded(t *testing.T) {
	mender, left := newLeftRooms(t, &livekit.Room{Name: "room", NumParticipants: 1})
	left.nodes["room"] = "another"
	first := time.Now()
	all, few := []string{"elsewhere", "room"}, []string(nil)
	for _, row := range []struct {
		after, written time.Duration
		rooms          []string
	}{
		{0, 0, all},
		{closing + mending, closing, all},
		{closing * 9, closing, all}, // after an outage
		{closing*9 + mending, closing*9 + 4, all},
		{closing * 10, closing * 10, all},
		{closing * 12, closing * 10, all}, // it has ended
		{closing*13 - 1, closing * 10, all},
		{closing*13 + mending, closing * 10, few},
	} {
		left.write("another", first.Add(row.written))
		if err := mender.mend(t.Context(), first.Add(row.after)); err != nil {
			t.Fatal(err)
		}
		if got := left.listed(); !slices.Equal(got, row.rooms) {
			t.Errorf("after %s: %v", row.after, got)
		}
	}
}

func TestRoomThatRedisRefusesKeepsNoOtherOnTheList(t *testing.T) {
	mender, left := newLeftRooms(t, &livekit.Room{Name: refuses}, &livekit.Room{Name: "one"}, &livekit.Room{Name: "two"})
	mendTwice(t, mender)
	if got := left.listed(); !slices.Equal(got, []string{"elsewhere", refuses}) || len(left.asked) != 3 {
		t.Error(got, left.asked)
	}
}

func TestRedisThatDoesNotAnswerIsAskedOnce(t *testing.T) {
	mender, left := newLeftRooms(t, &livekit.Room{Name: answersNot}, &livekit.Room{Name: answersNot + " either"})
	mendTwice(t, mender)
	if got := left.listed(); len(got) != 3 || len(left.asked) != 1 {
		t.Error(got, left.asked)
	}
}

// mendTwice mends when rooms are found, and when they may be deleted. The second time fails.
func mendTwice(t *testing.T, mender *mender) {
	t.Helper()
	first := time.Now()
	if err := mender.mend(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := mender.mend(t.Context(), first.Add(closing)); err == nil {
		t.Error("a room that is still on the list is no failure")
	}
}
