package sfu

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/agents"
)

// telling is how often the others are told at least. They take a process for gone that is silent for some seconds.
const telling = time.Second

// channel is in Redis, beside livekit-server's own. Each hub has a Redis server of its own.
const channel = "lkhub_workers"

// letter is a message to all processes at this Redis.
type letter struct {
	Node string `json:"node"`
	agents.Told
}

// shareWorkers tells the other processes of media which workers are connected to this one, and hears of theirs, until
// the context ends. livekit-server's own messages bring a job to a worker of another process. But they tell neither that
// a worker is full, nor that it is gone, nor that the process of a job has failed.
func (s *Server) shareWorkers(ctx context.Context) {
	heard := s.redis.Subscribe(ctx, channel)
	defer heard.Close()
	timer := time.NewTicker(telling)
	defer timer.Stop()
	book := s.keys.agents
	for {
		select {
		case <-ctx.Done():
			return
		case message, ok := <-heard.Channel():
			if !ok {
				return
			}
			s.hearWorkers(message.Payload)
			continue
		case <-book.Telling():
		case <-timer.C:
		}
		text, _ := json.Marshal(letter{s.node, book.Tell()})
		within, cancel := context.WithTimeout(ctx, redisPatience)
		if err := s.redis.Publish(within, channel, text).Err(); err != nil {
			slog.Debug("the other processes of media are not told of workers", "error", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-time.After(lull):
		}
	}
}

func (s *Server) hearWorkers(text string) {
	var told letter
	if err := json.Unmarshal([]byte(text), &told); err != nil || told.Node == "" || told.Node == s.node {
		return
	}
	s.keys.agents.Hear(told.Node, told.Told)
}

// lookAgain is how often Redis is tried while it does not answer. It must know this process's rooms before clients can
// join by what it knows.
const lookAgain = 100 * time.Millisecond

// keepRoomsKnown has Redis know which rooms are here, until the context ends. livekit-server writes that when a room
// begins. Where Redis has lost it, whoever joined such a room would open another one of the same name on another
// process, and so would its agent. After Redis is back, agents are asked for that could not be called without it.
func (s *Server) keepRoomsKnown(ctx context.Context) {
	lost := false
	for {
		wait := telling
		switch {
		case s.noteRooms(ctx) != nil:
			lost = true
		case lost && s.askRedis(ctx) == "":
			lost = false
			s.keys.agents.AskAgain()
		}
		if lost {
			wait = lookAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (s *Server) noteRooms(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	rooms := s.openRooms()
	if len(rooms) == 0 {
		return nil
	}
	node, err := proto.Marshal(s.server.Node())
	if err != nil {
		return err
	}
	_, err = s.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.HSetNX(ctx, routing.NodesKey, s.node, node) // a room of a node that is not known counts for nothing
		for _, room := range rooms {
			pipe.HSetNX(ctx, routing.NodeRoomKey, string(room.Name()), s.node)
		}
		return nil
	})
	for _, room := range rooms {
		if err == nil && room.IsClosed() && s.server.RoomManager().GetRoom(ctx, room.Name()) == nil { // meanwhile
			err = s.redis.HDel(ctx, routing.NodeRoomKey, string(room.Name())).Err()
		}
	}
	return err
}
