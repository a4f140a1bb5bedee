package sfu

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/livekit/protocol/livekit"

	"lkhub/engine/internal/agents"
)

// telling is how often the others are told at least. They take a process for gone that is silent for some seconds.
const telling = time.Second

// channel is in Redis, beside livekit-server's own. Each hub has a Redis server of its own.
const channel = "lkhub_workers"

// letter is a message to all processes at this Redis.
type letter struct {
	Node string                 `json:"node"`
	Ends []livekit.ConnectionID `json:"ends"` // of agents' signalling that came to this process
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
		text, _ := json.Marshal(letter{s.node, s.ends.List(), book.Tell()})
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
	s.ends.Add(told.Ends...)
	s.keys.agents.Hear(told.Node, told.Told)
}
