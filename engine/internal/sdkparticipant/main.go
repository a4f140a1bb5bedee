// Command sdkparticipant is a participant for tests, made with server-sdk-go as an application would: it publishes an
// audio track, counts the packets that it receives, and leaves when its standard input ends.
//
// The first line on stdin is {"url": …, "token": …}; each line on stdout is what was received so far, as
// {"IDENTITY/audio": PACKETS, "IDENTITY/video": PACKETS}.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"
	"sync"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	frameDuration  = 20 * time.Millisecond // of Opus, as browsers send it
	reportInterval = 100 * time.Millisecond
)

// silence is one frame of Opus without sound (RFC 6716, a TOC byte with a code-3 packet of padding).
var silence = []byte{0xf8, 0xff, 0xfe}

type received struct {
	mu      sync.Mutex
	packets map[string]int
}

func (r *received) count(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, from *lksdk.RemoteParticipant) {
	name := from.Identity() + "/" + track.Kind().String()
	for {
		if _, _, err := track.ReadRTP(); err != nil {
			return
		}
		r.mu.Lock()
		r.packets[name]++
		r.mu.Unlock()
	}
}

func (r *received) report() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(r.packets)
}

func main() {
	stdin := bufio.NewReader(os.Stdin)
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		log.Fatal(err)
	}
	var where struct{ URL, Token string }
	if err := json.Unmarshal(line, &where); err != nil {
		log.Fatal(err)
	}
	if err := call(where.URL, where.Token, stdin); err != nil {
		log.Fatal(err)
	}
}

// call takes part in the room until the reader ends.
func call(url, token string, until io.Reader) error {
	heard := &received{packets: map[string]int{}}
	callback := &lksdk.RoomCallback{ParticipantCallback: lksdk.ParticipantCallback{OnTrackSubscribed: heard.count}}
	room, err := lksdk.ConnectToRoomWithToken(url, token, callback)
	if err != nil {
		return err
	}
	defer room.Disconnect()
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		return err
	}
	if _, err := room.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "silence"}); err != nil {
		return err
	}

	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, until)
		close(ended)
	}()
	frames, reports := time.NewTicker(frameDuration), time.NewTicker(reportInterval)
	defer frames.Stop()
	defer reports.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-frames.C:
			if err := track.WriteSample(media.Sample{Data: silence, Duration: frameDuration}, nil); err != nil {
				return err
			}
		case <-reports.C:
			if err := heard.report(); err != nil {
				return err
			}
		}
	}
}
