package sfu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils"
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

// askRedis is "" while Redis answers, else what is wrong.
func (s *Server) askRedis(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	if err := s.redis.Ping(ctx).Err(); err != nil {
		return err.Error()
	}
	return ""
}
