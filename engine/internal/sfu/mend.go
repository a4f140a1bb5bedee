package sfu

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/private"
)

const (
	// mending is how often the lists in Redis are compared with the rooms.
	mending = 5 * time.Second
	// closing is longer than livekit-server takes to delete a room from Redis, or to fail.
	closing = 10 * time.Second
)

// mender corrects what Redis lists of the rooms of this process. livekit-server writes each change once, and what it can
// not write it forgets (roommanager.go). A participant that left while Redis did not answer would stay on the list of
// its room, and a room that ended then on the list of rooms, for as long as Redis runs.
type mender struct {
	rooms *service.RoomManager
	store service.ObjectStore
	redis redis.UniversalClient
	node  string
	open  []*rtc.Room
	ended map[*rtc.Room]time.Time
	left  map[livekit.RoomName]leftRoom
	// anew: all participants are written again. The last changes of some were lost in an outage.
	anew bool
	lost atomic.Bool // an outage has ended
	next time.Time
}

// leftRoom is a room that Redis leads to this node, and that is not here, or to a node that has ended.
type leftRoom struct {
	seen time.Time     // when it was first looked at
	ends time.Duration // how long it stays from then on if no one joins it
}

// newMender relies on a field of livekit-server. If it is renamed, tests/integration/test_lost_writes.py fails.
func newMender(rooms *service.RoomManager, client redis.UniversalClient, node string) *mender {
	store := *private.Field[service.ObjectStore](rooms, "roomStore")
	return &mender{
		rooms: rooms, store: store, redis: client, node: node,
		ended: map[*rtc.Room]time.Time{}, left: map[livekit.RoomName]leftRoom{},
	}
}

// note remembers which rooms are open, and which have ended.
func (m *mender) note(rooms []*rtc.Room, now time.Time) {
	for _, room := range m.open {
		if !slices.Contains(rooms, room) {
			m.ended[room] = now
		}
	}
	m.open = rooms
}

// writeAnew has all rooms and participants written again at the next call of mend. Any goroutine may call it.
func (m *mender) writeAnew() { m.lost.Store(true) }

// mend corrects the lists if it is time. What fails is tried again later.
func (m *mender) mend(ctx context.Context, now time.Time) error {
	if m.lost.Swap(false) {
		m.anew, m.next = true, time.Time{}
	}
	if now.Before(m.next) {
		return nil
	}
	m.next = now.Add(mending)
	var failures error
	for err := range m.correct(ctx, now) {
		failures = errors.Join(failures, err)
		// What Redis refuses for one room says nothing about the others. If it does not answer, they would wait in vain.
		var refused redis.Error
		if err != nil && !errors.As(err, &refused) {
			return failures
		}
	}
	m.anew = m.anew && failures != nil
	return failures
}

// correct yields what came of each room.
func (m *mender) correct(ctx context.Context, now time.Time) iter.Seq[error] {
	return func(yield func(error) bool) {
		for _, room := range m.open {
			if !yield(m.mendRoom(ctx, room)) {
				return
			}
		}
		for room, at := range m.ended {
			// A room that is closed also takes the next one of its name from the list, which is open all the same.
			if now.Sub(at) < closing || !room.IsClosed() {
				continue
			}
			err := m.remove(ctx, room)
			if err == nil {
				delete(m.ended, room)
			}
			if !yield(err) {
				return
			}
		}
		m.removeLeft(ctx, now, yield)
	}
}

// removeLeft empties the rooms of a process that was killed, and deletes them when their time is over, as that process
// would have done. It was one of this node, or one on the other ports of the hub (nodeID). livekit-server deletes no room
// but its own. The participants of such a room would have its seats for as long as Redis runs. The room itself may be one
// that was created for participants who come later.
func (m *mender) removeLeft(ctx context.Context, now time.Time, yield func(error) bool) {
	nodes, err := m.redis.HGetAll(ctx, routing.NodeRoomKey).Result()
	if err != nil {
		yield(err)
		return
	}
	live, err := m.listLive(ctx, now)
	if err != nil {
		yield(err)
		return
	}
	left := map[livekit.RoomName]leftRoom{}
	for each, node := range nodes {
		name := livekit.RoomName(each)
		if node != m.node && live[node] || m.isOpen(ctx, name) {
			continue
		}
		known, ok := m.left[name]
		if !ok {
			known, err = m.lookAtLeft(ctx, name, now)
		} else if now.Sub(known.seen) >= closing { // until then somebody may be about to join it again
			err = m.redis.Del(ctx, service.RoomParticipantsPrefix+each).Err()
		}
		if err == nil {
			left[name] = known
			if now.Sub(known.seen) < known.ends {
				continue
			}
			err = m.removeRoom(ctx, name)
		}
		switch {
		case err == nil:
			delete(left, name)
		case !yield(err):
			return
		}
	}
	m.left = left
}

// listLive finds which nodes have written lately that they are there. Each does so every two seconds (redisrouter.go), but
// for those that were kept from it by an outage: their rooms are not left for long enough to be deleted.
func (m *mender) listLive(ctx context.Context, now time.Time) (map[string]bool, error) {
	written, err := m.redis.HGetAll(ctx, routing.NodesKey).Result()
	live := map[string]bool{}
	for id, text := range written {
		var node livekit.Node
		if proto.Unmarshal([]byte(text), &node) == nil {
			live[id] = now.Sub(time.Unix(node.GetStats().GetUpdatedAt(), 0)) < closing
		}
	}
	return live, err
}

// lookAtLeft finds how long a room stays.
func (m *mender) lookAtLeft(ctx context.Context, name livekit.RoomName, now time.Time) (leftRoom, error) {
	room, _, err := m.store.LoadRoom(ctx, name, false)
	if err != nil && !errors.Is(err, service.ErrRoomNotFound) {
		return leftRoom{}, err
	}
	people, err := m.redis.HLen(ctx, service.RoomParticipantsPrefix+string(name)).Result()
	if err != nil {
		return leftRoom{}, err
	}
	seconds := room.GetEmptyTimeout()
	if people > 0 {
		seconds = room.GetDepartureTimeout()
	}
	return leftRoom{now, max(closing, time.Duration(seconds)*time.Second)}, nil
}

func (m *mender) removeRoom(ctx context.Context, name livekit.RoomName) error {
	if err := m.store.DeleteRoom(ctx, name); err != nil {
		return err
	}
	return m.forget(ctx, name)
}

// isOpen tells whether a room of this name is here, also one that is missing from livekit-server's own list.
func (m *mender) isOpen(ctx context.Context, name livekit.RoomName) bool {
	for room := range m.ended {
		if room.Name() == name && !room.IsClosed() {
			return true
		}
	}
	return m.rooms.GetRoom(ctx, name) != nil
}

// forget has Redis lead nobody to this node for a room, unless it has begun here meanwhile: mendRoom writes that one.
func (m *mender) forget(ctx context.Context, name livekit.RoomName) error {
	if m.isOpen(ctx, name) {
		return nil
	}
	return m.redis.HDel(ctx, routing.NodeRoomKey, string(name)).Err()
}

// mendRoom relies on the order of livekit-server: a participant that joins is in the room before it is written, and one
// that leaves is out of it before it is deleted.
func (m *mender) mendRoom(ctx context.Context, room *rtc.Room) error {
	at, err := m.nodeOf(ctx, room.Name())
	if err != nil || (at != "" && at != m.node) { // of another process, with participants of its own
		return err
	}
	listed, err := m.redis.HKeys(ctx, service.RoomParticipantsPrefix+string(room.Name())).Result()
	if err != nil {
		return err
	}
	for _, each := range listed {
		if err := m.deleteGone(ctx, room, livekit.ParticipantIdentity(each)); err != nil {
			return err
		}
	}
	for _, participant := range room.GetParticipants() {
		identity := participant.Identity()
		if !m.anew && slices.Contains(listed, string(identity)) {
			continue
		}
		if err := m.store.StoreParticipant(ctx, room.Name(), participant.ToProto()); err != nil {
			return err
		}
		if err := m.deleteGone(ctx, room, identity); err != nil { // it left meanwhile
			return err
		}
	}
	isListed, err := m.store.RoomExists(ctx, room.Name())
	if err != nil || (isListed && !m.anew) || room.IsClosed() {
		return err
	}
	return m.store.StoreRoom(ctx, room.ToProto(), room.Internal()) // if it ends meanwhile, remove finds it
}

func (m *mender) deleteGone(ctx context.Context, room *rtc.Room, identity livekit.ParticipantIdentity) error {
	if room.GetParticipant(identity) != nil {
		return nil
	}
	if err := m.store.DeleteParticipant(ctx, room.Name(), identity); err != nil {
		return err
	}
	if back := room.GetParticipant(identity); back != nil {
		return m.store.StoreParticipant(ctx, room.Name(), back.ToProto())
	}
	return nil
}

// remove deletes a room that has ended, unless there is another one of its name. livekit-server gives that one the SID
// of the room that is still on the list.
func (m *mender) remove(ctx context.Context, room *rtc.Room) error {
	name := room.Name()
	at, err := m.nodeOf(ctx, name)
	if err != nil || (at != "" && at != m.node) || m.isOpen(ctx, name) {
		return err
	}
	known, _, err := m.store.LoadRoom(ctx, name, false)
	switch {
	case errors.Is(err, service.ErrRoomNotFound):
	case err != nil:
		return err
	case known.GetSid() != string(room.ID()):
		return nil
	default:
		if err := m.store.DeleteRoom(ctx, name); err != nil {
			return err
		}
	}
	if at == "" {
		return nil
	}
	return m.forget(ctx, name)
}

// nodeOf is the node to which Redis leads those who join a room; "" for none.
func (m *mender) nodeOf(ctx context.Context, name livekit.RoomName) (string, error) {
	at, err := m.redis.HGet(ctx, routing.NodeRoomKey, string(name)).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return at, err
}
