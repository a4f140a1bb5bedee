package sfu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/routing/selector"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
)

// nodeID is the same for every media process on the same ports. livekit-server would take a new id at each start. Then
// Redis would lead clients whose media has crashed to the node before it, until that counts as dead: five seconds.
func nodeID(conf *config.Config) livekit.NodeID {
	host, _ := os.Hostname()
	rtc := conf.RTC
	place := fmt.Sprint(host, rtc.NodeIP.PrimaryIP(), rtc.UDPPort, rtc.ICEPortRangeStart, rtc.TCPPort)
	sum := sha256.Sum256([]byte(place))
	return livekit.NodeID(utils.NodePrefix + hex.EncodeToString(sum[:6]))
}

// redisPatience is how long Redis may take for an answer. It takes less than a millisecond.
const redisPatience = time.Second

// boundCommands has commands end with their context, and be tried once. By default go-redis goes on for seconds, as long as
// a server that hangs does not answer, and media would not answer the supervisor meanwhile. A connection that is refused
// is tried again for longer than a second, and the reason would be lost.
func boundCommands(client redis.UniversalClient) {
	switch client := client.(type) {
	case *redis.Client:
		client.Options().ContextTimeoutEnabled, client.Options().MaxRetries = true, 0
	case *redis.ClusterClient:
		client.Options().ContextTimeoutEnabled = true
	}
}

// askRedis is "" while Redis answers, and clients can join by what it knows; else what is wrong.
func (s *Server) askRedis(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	text, err := s.redis.HGet(ctx, routing.NodesKey, s.node).Bytes()
	var known livekit.Node
	switch {
	case errors.Is(err, redis.Nil):
		// Redis may have lost what it knew. livekit-server writes its node again every two seconds.
		return "it has no media process yet"
	case err != nil:
		return describe(err)
	case proto.Unmarshal(text, &known) != nil || known.GetStats().GetUpdatedAt() <= s.away.Load() || !selector.IsAvailable(&known):
		return "messages of media do not get through yet"
	}
	// livekit-server subscribes again up to a second after Redis is back, and refuses every join until then. The names
	// of its channels have its node's id (psrpc). Where its user may not list them, the answer before is all there is.
	channels, err := s.redis.PubSubChannels(ctx, "*"+s.node+"*").Result()
	switch {
	case redis.HasErrorPrefix(err, "NOPERM"):
		return ""
	case err != nil:
		return describe(err)
	case len(channels) == 0:
		return "media has not subscribed to its channels yet"
	}
	return ""
}

func describe(err error) string {
	var failed net.Error
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &failed) && failed.Timeout()) {
		return fmt.Sprintf("it has not answered within %s", redisPatience)
	}
	return err.Error()
}
