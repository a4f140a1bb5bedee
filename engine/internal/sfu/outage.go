package sfu

import (
	"context"
	"log/slog"
	"time"

	"github.com/livekit/livekit-server/pkg/agent"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"lkhub/engine/internal/private"
)

// lookAgain is how often Redis is tried while it does not answer. It must know this process's rooms before clients can
// join by what it knows.
const lookAgain = 100 * time.Millisecond

// keepRoomsKnown has Redis know which rooms are here, until the context ends. livekit-server writes that when a room
// begins. Where Redis has lost it, whoever joined such a room would open another one of the same name on another
// process, and so would its agent. While Redis is away no agent is asked for, since none can be called without it. What
// livekit-server could not write meanwhile is written afterwards.
func (s *Server) keepRoomsKnown(ctx context.Context) {
	mender := newMender(s.server.RoomManager(), s.redis, s.node)
	go s.mendLists(ctx, mender)
	for {
		err, isAway, wait := s.noteRooms(ctx, s.openRooms()), s.away.Load() != 0, telling
		switch {
		case err != nil && !isAway:
			slog.Warn("Redis does not answer; no agent is asked for until it does", "error", err)
			s.away.Store(time.Now().Unix())
			s.keys.agents.Hold()
		case err == nil && isAway && s.askRedis(ctx) == "":
			slog.Info("Redis answers again")
			s.away.Store(0)
			s.lookForWorkers(ctx)
			s.keys.agents.AskAgain()
			mender.writeAnew()
		}
		if s.away.Load() != 0 {
			wait = lookAgain
			s.callItself(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// mendLists mends what Redis lists, except while Redis is away, until the context ends. It does so apart from
// keepRoomsKnown: where Redis stops answering, a command of livekit-server's store waits for seconds.
func (s *Server) mendLists(ctx context.Context, mender *mender) {
	for {
		mender.note(s.openRooms(), time.Now())
		if s.away.Load() == 0 {
			if err := mender.mend(ctx, time.Now()); err != nil {
				slog.Debug("what Redis lists of the rooms is not corrected yet", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(telling):
		}
	}
}

// lookForWorkers has each process of media look for workers again before its next call. Otherwise, one that has looked
// while Redis was away would go on for a minute as if there were none (client.go, EnabledCacheTTL). If the field is
// renamed, tests/agents/test_redis.py fails.
func (s *Server) lookForWorkers(ctx context.Context) {
	handler := *private.Field[rpc.AgentInternalServer](s.keys.handler, "agentServer")
	if err := handler.PublishWorkerRegistered(ctx, agent.DefaultHandlerNamespace, &emptypb.Empty{}); err != nil {
		slog.Warn("media looks for workers of agents up to a minute later", "error", err)
	}
}

// callItself has livekit-server send a message to itself by Redis. When it comes, livekit-server writes its node with the
// time. That proves that messages to and from this process get through. It does so every two seconds anyway. If one of
// the fields is renamed, tests/agents/test_redis.py fails.
func (s *Server) callItself(ctx context.Context) {
	router := (*private.Field[routing.Router](s.server, "router")).(*routing.RedisRouter)
	calls := *private.Field[rpc.KeepalivePubSub](router, "kps")
	if err := calls.PublishPing(ctx, livekit.NodeID(s.node), &rpc.KeepalivePing{Timestamp: time.Now().Unix()}); err != nil {
		slog.Debug("media can't call itself", "error", err)
	}
}

func (s *Server) noteRooms(ctx context.Context, rooms []*rtc.Room) error {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	if len(rooms) == 0 {
		return nil
	}
	// livekit-server leads nobody to a node whose statistics are five seconds old (AvailableSeconds in
	// pkg/routing/selector). After an outage it writes them with the answer to its own message: whoever joined in the
	// moment before would open a room of the same name on another node.
	noted, isAway := proto.Clone(s.server.Node()).(*livekit.Node), s.away.Load() != 0
	if isAway && noted.Stats != nil {
		noted.Stats.UpdatedAt = time.Now().Unix()
	}
	node, err := proto.Marshal(noted)
	if err != nil {
		return err
	}
	_, err = s.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		if isAway {
			pipe.HSet(ctx, routing.NodesKey, s.node, node)
		} else {
			pipe.HSetNX(ctx, routing.NodesKey, s.node, node) // a room of a node that is not known counts for nothing
		}
		for _, room := range rooms {
			pipe.HSetNX(ctx, routing.NodeRoomKey, string(room.Name()), s.node)
		}
		return nil
	})
	if redis.HasErrorPrefix(err, "NOPERM") { // Redis answers, and livekit-server may be able to write what it needs
		s.refused.Do(func() { slog.Warn("Redis does not let media note its rooms", "error", err) })
		return nil
	}
	for _, room := range rooms {
		if err == nil && room.IsClosed() && s.server.RoomManager().GetRoom(ctx, room.Name()) == nil { // meanwhile
			err = s.redis.HDel(ctx, routing.NodeRoomKey, string(room.Name())).Err()
		}
	}
	return err
}
