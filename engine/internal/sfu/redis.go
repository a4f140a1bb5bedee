package sfu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils"
	"github.com/redis/go-redis/v9"
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

// askRedis is "" while Redis answers, and clients can join by what it knows; else what is wrong.
func (s *Server) askRedis(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	node := s.server.Node().GetId()
	known, err := s.redis.HExists(ctx, routing.NodesKey, node).Result()
	switch {
	case err != nil:
		return err.Error()
	case !known:
		// Redis may have lost what it knew. livekit-server writes its node again every two seconds.
		return "it has no media process yet"
	}
	// livekit-server subscribes again up to a second after Redis is back, and refuses every join until then. The names
	// of its channels have its node's id (psrpc). Where its user may not list them, the answer before is all there is.
	channels, err := s.redis.PubSubChannels(ctx, "*"+node+"*").Result()
	switch {
	case redis.HasErrorPrefix(err, "NOPERM"):
		return ""
	case err != nil:
		return err.Error()
	case len(channels) == 0:
		return "media has not subscribed to its channels yet"
	}
	return ""
}
