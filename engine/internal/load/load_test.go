package load

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"
)

func TestConfigIsBounded(t *testing.T) {
	right := Config{URL: "ws://a", Key: "k", Secret: "s", Publishers: 3, Subscribers: 40, Rooms: 3, VideoKbps: 1500, JoinsAtOnce: 8, Conditions: Conditions{Duration: time.Second}}
	if err := right.Check(); err != nil {
		t.Error(err)
	}
	for says, change := range map[string]func(*Config){
		"LIVEKIT_URL":        func(c *Config) { c.URL = "" },
		"LIVEKIT_API_KEY":    func(c *Config) { c.Key = "" },
		"LIVEKIT_API_SECRET": func(c *Config) { c.Secret = "" },
		"--publishers 0":     func(c *Config) { c.Publishers = 0 },
		"--subscribers -1":   func(c *Config) { c.Subscribers = -1 },
		"503 are more":       func(c *Config) { c.Subscribers = maxParticipants },
		"--rooms 4":          func(c *Config) { c.Rooms = 4 },
		"--video-kbps":       func(c *Config) { c.VideoKbps = 20_001 },
		"--joins-at-once":    func(c *Config) { c.JoinsAtOnce = 0 },
		"--duration":         func(c *Config) { c.Duration = maxDuration + 1 },
	} {
		wrong := right
		change(&wrong)
		if err := wrong.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

func TestRelayConfigIsBounded(t *testing.T) {
	right := RelayConfig{
		Server: "turn:127.0.0.1:3478?transport=udp", Username: "u", Password: "p", Peer: "127.0.0.1:7882",
		Allocations: 8, Rate: 1000, Size: 1200, Conditions: Conditions{Duration: time.Second},
	}
	if got := right.interval(); got != 8*time.Millisecond {
		t.Errorf("an allocation sends every %s", got)
	}
	overTLS := right
	overTLS.Server = "turns:turn.test:5349?transport=tcp"
	for _, config := range []RelayConfig{right, overTLS} {
		if err := config.Check(); err != nil {
			t.Error(err)
		}
	}
	for says, change := range map[string]func(*RelayConfig){
		"--server \"\"":     func(c *RelayConfig) { c.Server = "" },
		"--server \"stun:a": func(c *RelayConfig) { c.Server = "stun:a" },
		"neither":           func(c *RelayConfig) { c.Server = "turn:127.0.0.1:3478?transport=tcp" },
		"--peer":            func(c *RelayConfig) { c.Peer = "127.0.0.1" },
		"TURN_USERNAME":     func(c *RelayConfig) { c.Username = "" },
		"TURN_PASSWORD":     func(c *RelayConfig) { c.Password = "" },
		"--allocations 0":   func(c *RelayConfig) { c.Allocations = 0 },
		"--rate 7":          func(c *RelayConfig) { c.Rate = 7 },
		"--size 7":          func(c *RelayConfig) { c.Size = stampSize - 1 },
		"--size 1401":       func(c *RelayConfig) { c.Size = maxPacket + 1 },
		"--duration":        func(c *RelayConfig) { c.Duration = 0 },
	} {
		wrong := right
		change(&wrong)
		if err := wrong.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

func TestSignalConfigIsBounded(t *testing.T) {
	right := SignalConfig{URL: "wss://hub.test/rtc", BackEnd: "127.0.0.1:7880", Connections: 16, Conditions: Conditions{Duration: time.Second}}
	if err := right.Check(); err != nil {
		t.Error(err)
	}
	for says, change := range map[string]func(*SignalConfig){
		"--url \"https":   func(c *SignalConfig) { c.URL = "https://hub.test" },
		"--back-end \"\"": func(c *SignalConfig) { c.BackEnd = "" },
		"--connections":   func(c *SignalConfig) { c.Connections = maxConnections + 1 },
		"--duration":      func(c *SignalConfig) { c.Duration = 0 },
	} {
		wrong := right
		change(&wrong)
		if err := wrong.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

func TestParticipantsAreDealtToRooms(t *testing.T) {
	config := Config{Publishers: 5, Subscribers: 7, Rooms: 3}
	publishers, subscribers := []int{2, 2, 1}, []int{3, 2, 2}
	for room := range 3 {
		if p, s := config.publishersIn(room), config.subscribersIn(room); p != publishers[room] || s != subscribers[room] {
			t.Errorf("room %d has %d and %d", room, p, s)
		}
	}
}

func TestHistogramKeepsQuantiles(t *testing.T) {
	var first, second histogram
	for i := 1; i <= 1000; i++ {
		(&first).add(time.Duration(i) * time.Millisecond)
	}
	second.add(-time.Second) // the two clocks may differ
	second.merge(&first)
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		if got := second.quantile(q); math.Abs(float64(got-want)) > 0.04*float64(want) {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
	if (&histogram{}).quantile(0.5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
	for _, d := range []time.Duration{0, 1, 31, 32, 33, 63, 64, 1000, math.MaxInt64} {
		if bucket := bucketOf(d); bucket >= buckets || upperEnd(bucket) < d || (bucket > 0 && upperEnd(bucket-1) >= d) {
			t.Errorf("%d is in bucket %d, which ends at %d", d, bucket, upperEnd(bucket))
		}
	}
}

func TestOnlyStampedPacketsCount(t *testing.T) {
	clock := newClock()
	packet := make([]byte, 100)
	for _, foreign := range [][]byte{packet, nil, make([]byte, stampSize-1)} {
		if sent, ok := clock.sent(foreign); ok {
			t.Errorf("an unstamped packet was sent at %d", sent)
		}
	}
	stamped := clock.stamp(packet)
	if sent, ok := clock.sent(packet); !ok || sent != stamped {
		t.Errorf("stamped %d, read %d, %v", stamped, sent, ok)
	}
	if clock.measured(stamped) {
		t.Error("measured before the start")
	}
	clock.start.Store(stamped)
	if !clock.measured(stamped) || clock.measured(stamped-1) {
		t.Error("the start does not divide")
	}
	clock.end.Store(stamped)
	if clock.measured(stamped) {
		t.Error("measured after the end")
	}
}

func TestVideoLooksLikeVP8(t *testing.T) {
	frame := newVP8Frame(1500 * 1000 / 8 / framesPerSecond)
	for _, key := range []bool{true, false} {
		packets := frame.payloads(0x1234, key)
		if len(packets) != 6 {
			t.Fatalf("%d packets a frame, want 6", len(packets))
		}
		for i, payload := range packets {
			var packet codecs.VP8Packet
			content, err := packet.Unmarshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			if packet.PictureID != 0x1234 || (packet.S == 1) != (i == 0) {
				t.Errorf("packet %d: picture %x, S %d", i, packet.PictureID, packet.S)
			}
			if isKey := content[0]&1 == 0; i == 0 && isKey != key {
				t.Errorf("key frame: %v, want %v", isKey, key)
			}
		}
	}
	if small := newVP8Frame(1); len(small.packets) != 1 || len(small.packets[0]) < vp8Descriptor+10+stampSize {
		t.Errorf("the smallest frame has no room for its header and stamp")
	}
}
