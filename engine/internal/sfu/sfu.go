// Package sfu is livekit-server as an engine. Only it and the packages below it import livekit-server.
package sfu

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/livekit-server/pkg/telemetry/prometheus"
	"github.com/livekit/mediatransportutil/pkg/rtcconfig"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	"github.com/livekit/protocol/logger/zaputil"
	redisLiveKit "github.com/livekit/protocol/redis"
	"github.com/redis/go-redis/v9"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/icechecks"
	"lkhub/engine/internal/lans"
	"lkhub/engine/internal/private"
	"lkhub/engine/internal/roster"
	"lkhub/engine/internal/seen"
	"lkhub/engine/internal/sendcount"
	"lkhub/engine/internal/sfu/signal"
)

// Server is livekit-server as an engine. A process can have one only, since upstream's metrics are global.
type Server struct {
	text   string // livekit.yaml
	held   heldSockets
	told   Advertised        // which addresses clients are told, if not those of livekit.yaml
	seen   *seen.Record      // clients at media's own ports
	first  *icechecks.Record // which clients sent before media did
	iceTCP *connlimit.Counter
	signal *connlimit.Counter // connections over the held sockets
	sends  sendcount.Counter  // from media's own ports; nothing is counted with a range of ports
	roster *roster.Roster     // the participants in the rooms
	ends   *signal.Ends
	server *service.LivekitServer
	keys   *keys
	redis  redis.UniversalClient // nil without Redis
	node   string                // its ID at Redis
	away   atomic.Int64          // since when Redis is away, in seconds of the epoch; 0: it is not
	up     chan struct{}         // closed when server and keys are set and clients are accepted
	ended  chan struct{}         // closed when Run returns

	reloading sync.Mutex
	refused   sync.Once // the warning that Redis refuses what media notes
}

// New serves as livekit.yaml says. If there are held sockets, clients connect to these. told has the addresses that
// clients are told instead of those of livekit.yaml.
func New(text string, held []net.Listener, told Advertised) *Server {
	record := seen.New(nil) // initialize sets which clients are inside
	return &Server{
		text: text, held: held, told: told, seen: record, first: icechecks.NewRecord(), iceTCP: newPlaces(), signal: newPlaces(),
		roster: roster.New(), ends: signal.NewEnds(time.Now),
		up: make(chan struct{}), ended: make(chan struct{}),
	}
}

func (s *Server) Run(ready func()) error {
	defer close(s.ended)
	conf, err := config.NewConfig(s.text, true, nil, nil)
	if err != nil {
		return failure.Config("%v", err)
	}
	if err := s.initialize(conf); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		if waitForAnswer(ctx, reachable(bindAddresses(conf)[0])) == nil {
			serveHeld(s.server, s.held, s.signal)
			close(s.up)
			go s.keepAgents(ctx)
			if s.redis != nil {
				go s.shareWorkers(ctx)
				go s.keepRoomsKnown(ctx)
			}
			ready()
		}
	}()
	return s.server.Start()
}

// initLogger does what upstream's config.InitLoggerFromConfig does, but limits the length of values.
func initLogger(conf *logger.Config) {
	log, err := logger.NewZapLogger(conf)
	if err != nil { // as upstream does: its default logger stays
		return
	}
	short := log.WithComponentLeveler(zaputil.NewRootComponentLeveler(shortLines{os.Stderr}, conf))
	logger.SetLogger(short, "livekit")
	slog.SetDefault(slog.New(logger.ToSlogHandler(short)))
}

// initialize sets server and keys, as upstream's own main does before Start. After it the media ports are bound.
func (s *Server) initialize(conf *config.Config) error {
	initLogger(&conf.Logging.Config)
	if err := conf.ValidateKeys(); err != nil {
		return err
	}
	if conf.RTC.EnableWarp {
		return failure.Config("rtc.enable_warp: this engine is built without it")
	}
	if err := conf.LoadTURNSecrets(); err != nil {
		return err
	}
	var err error
	if s.keys, err = takeKeys(conf); err != nil {
		return err
	}
	if len(s.held) > 0 {
		// Clients connect to the held sockets. No client is told of the listener that upstream opens itself.
		if conf.Port, err = privatePort(); err != nil {
			return err
		}
		conf.BindAddresses = []string{"127.0.0.1"}
	}
	// Start binds the same addresses later. They are checked here, so that waitForAnswer can't take another program's
	// server on the port for ours.
	if err := checkFree(conf); err != nil {
		return err
	}
	node, err := routing.NewLocalNode(conf)
	if err != nil {
		return err
	}
	if conf.Redis.IsConfigured() {
		node.SetNodeID(nodeID(conf))
		s.node = string(node.NodeID())
		if s.redis, err = redisLiveKit.GetRedisClient(&conf.Redis); err != nil {
			return err
		}
		boundCommands(s.redis)
	}
	if err := prometheus.Init(string(node.NodeID()), node.NodeType()); err != nil {
		return err
	}
	if s.server, err = service.InitializeServer(conf, node); err != nil {
		return err
	}
	if err := s.keys.install(s.server, conf, node); err != nil {
		return err
	}
	transport := transportOf(s.server.RoomManager())
	if _, err := batchWrites(transport, s.told, &s.sends, s.first); err != nil {
		return err
	}
	if err := boundTCP(transport, s.iceTCP); err != nil {
		return err
	}
	if err := s.told.apply(transport); err != nil {
		return err
	}
	signal.HideReplaced(s.server, s.currentSession)
	signal.HoldRequests(s.server)
	signal.BoundRequests(s.server)
	signal.AwaitOffers(s.server, s.resumeStalled) // before the bounds: an offer that waits there has already been made
	here := insideOf(conf, s.told)
	s.seen.IsInside = here.Has
	if len(here.Told) > 1 {
		signal.TellByLAN(s.server, lans.New(here.Told, here.Interfaces))
	}
	seen.WatchICE(&transport.SettingEngine, s.seen, s.first)
	signal.WatchEnds(s.server, s.ends)
	keepRoster(s.server.RoomManager(), s.roster, s.keys.agents, s.ends)
	return nil
}

// transportOf has the settings of every call's sockets and candidates. Upstream does not export them. If the field is
// renamed, TestMediaBatchesWrites and TestMediaTellsTheAdvertisedAddresses fail.
func transportOf(rooms *service.RoomManager) *rtcconfig.WebRTCConfig {
	return &(*private.Field[*rtc.WebRTCConfig](rooms, "rtcConfig")).WebRTCConfig
}

// currentSession returns the session that an identity now has in a room of this node, or "".
func (s *Server) currentSession(ctx context.Context, name livekit.RoomName, identity livekit.ParticipantIdentity) livekit.ParticipantID {
	room := s.server.RoomManager().GetRoom(ctx, name)
	if room == nil {
		return ""
	}
	participant := room.GetParticipant(identity)
	if participant == nil {
		return ""
	}
	return participant.ID()
}

// insideOf reads what lkhub renders: rtc.ips names the addresses that media is on, unless media is on loopback alone.
func insideOf(conf *config.Config, told Advertised) *seen.Inside {
	h := seen.NewInside()
	for _, text := range conf.RTC.IPs.Includes {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.IsSingleIP() {
			h.Served = append(h.Served, prefix.Addr())
		}
	}
	for _, text := range conf.RTC.NodeIP.ToStringSlice() {
		if address, err := netip.ParseAddr(text); err == nil {
			h.Told = append(h.Told, address)
		}
	}
	for _, address := range told {
		h.Told = append(h.Told, address.externals...)
	}
	return h
}

// checkFree binds each HTTP address for a moment.
func checkFree(conf *config.Config) error {
	for _, address := range bindAddresses(conf) {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		listener.Close()
	}
	return nil
}

func bindAddresses(conf *config.Config) []string {
	hosts := conf.BindAddresses
	if hosts == nil {
		hosts = []string{""}
	}
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		addresses[i] = net.JoinHostPort(host, strconv.Itoa(int(conf.Port)))
	}
	return addresses
}

// Busy counts all participants, including agents and hidden ones, as upstream's own drain does.
func (s *Server) Busy() bool {
	select {
	case <-s.up:
		return s.server.RoomManager().HasParticipants()
	default:
		return false
	}
}

// Drain takes the node out of service. Other nodes respect that, but a single node goes on letting participants in.
// Stop(false) would do the same, and then ask every five seconds, without a limit, whether a participant is left. The
// caller asks more often and ends the drain with Stop.
func (s *Server) Drain() {
	select {
	case <-s.up:
		go s.server.Stop(false)
	default:
	}
}

// Stop waits until the start is over: upstream's Stop does nothing before IsRunning, which becomes true only a tenth of
// a second after the server serves.
func (s *Server) Stop() {
	select {
	case <-s.up:
	case <-s.ended:
		return
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !s.server.IsRunning() {
		select {
		case <-poll.C:
		case <-s.ended:
			return
		}
	}
	s.server.Stop(true)
}

// Status tells which rooms have participants, which clients on other machines have used a path, how many connections
// there are, whether packets were sent or refused, and how each key was used.
func (s *Server) Status(ctx context.Context) (map[string]any, error) {
	type room struct {
		Name         string `json:"name"`
		Participants int    `json:"participants"`
	}
	rooms := []room{}
	all := s.listRooms()
	for _, r := range all {
		// The list's own numbers lag by up to a second and do not count agents.
		if r.GetParticipantCount() > 0 {
			rooms = append(rooms, room{string(r.Name()), r.GetParticipantCount()})
		}
	}
	connections := map[string]connlimit.Report{"ice_tcp": s.iceTCP.Report(), "signalling": s.signal.Report()}
	status := map[string]any{
		"rooms": rooms, "seen": s.seen.Proven(), "unproven": s.seen.Unproven(), "connections": connections, "sends": s.sends.Report(),
	}
	select {
	case <-s.up:
		if s.redis != nil {
			status["redis"] = map[string]string{"error": s.askRedis(ctx)}
		}
		status["keys"], status["agents"] = s.keys.status(participantsIn(all)), s.keys.agents.Status(s.agentRooms())
	default:
	}
	return status, nil
}

func participantsIn(rooms []*rtc.Room) []signal.Participant {
	var present []signal.Participant
	for _, room := range rooms {
		for _, participant := range room.GetParticipants() {
			present = append(present, signal.Participant{Room: room.Name(), Identity: participant.Identity()})
		}
	}
	return present
}

// listRooms lists the rooms of this node, by name. The API would ask Redis, if there is one, and list the rooms of other
// nodes too.
func (s *Server) listRooms() []*rtc.Room {
	if !s.Busy() {
		return nil
	}
	rooms := s.openRooms()
	slices.SortFunc(rooms, func(a, b *rtc.Room) int { return cmp.Compare(a.Name(), b.Name()) })
	return rooms
}
