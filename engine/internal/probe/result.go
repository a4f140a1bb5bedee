package probe

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/message"
)

// Stage is a step of a path. A result names the last stage that was reached, or the stage that failed.
type Stage string

// The stages, in their order.
const (
	StageDNS     Stage = "dns"     // the host's name has an address
	StageTCP     Stage = "tcp"     // the address accepts a connection
	StageTLS     Stage = "tls"     // with a certificate that this machine trusts
	StageHTTP    Stage = "http"    // and a LiveKit server answers
	StageToken   Stage = "token"   // that accepts the tokens
	StageJoin    Stage = "join"    // lets the participants in and offers the path
	StageGather  Stage = "gather"  // this side has a candidate for the path: from a TURN server after that server's dns, tcp and tls
	StageConnect Stage = "connect" // ICE: a packet came back
	StageDTLS    Stage = "dtls"    // keys are agreed on
	StageMedia   Stage = "media"   // the subscriber hears the publisher
)

// Result is what a path proved. OK is nil if the path could not be tried. Figures are nil if nothing was measured.
type Result struct {
	Path   string `json:"path"`
	OK     *bool  `json:"ok"`
	Stage  Stage  `json:"stage"`
	Detail string `json:"detail"`
	Reason Reason `json:"reason"` // why it stopped; "" if it did not
	// Evidence has the parts of the detail by name: addresses, names, codes.
	Evidence    map[string]string `json:"evidence"`
	ConnectMS   *float64          `json:"connect_ms"`   // from the first dial to ICE and DTLS connected, of both participants
	RTTMS       *float64          `json:"rtt_ms"`       // the publisher's shortest ICE check on the pair in use
	Loss        *float64          `json:"loss"`         // 0 to 1, publisher to subscriber, after the first packet
	PictureLoss *float64          `json:"picture_loss"` // the same for packets of a picture, which come in bursts; nil if the server takes no picture
	JitterMS    *float64          `json:"jitter_ms"`    // of the sound, from one packet to the next
	LatenessMS  *float64          `json:"lateness_ms"`  // by how much this machine woke the sender too late meanwhile
	Local       *string           `json:"local"`        // the publisher's end of the pair
	Remote      *string           `json:"remote"`       // the server's
	Relay       *string           `json:"relay"`        // URL of the TURN server, also when it failed

	// Native is whether libwebrtc clients would accept the TURN server's certificate; nil when none was presented.
	Native       *bool   `json:"native"`
	NativeDetail *string `json:"native_detail"` // who issued it, and what follows
}

// fault is why a path stopped.
type fault struct {
	stage    Stage
	reason   Reason
	detail   string
	evidence map[string]string
	untried  bool // it could not be tried, so whether it works is not known
}

func (f *fault) Error() string { return string(f.stage) + ": " + f.detail }

// maxDetail has room for a few addresses and for the names of a certificate, which has as many names as it likes.
const maxDetail = 1000

// failed makes a fault. Its detail may repeat what a server says of itself, for example in a certificate.
func failed(stage Stage, reason Reason, format string, args ...any) *fault {
	detail := message.Quote(fmt.Sprintf(format, args...), maxDetail)
	return &fault{stage: stage, reason: reason, detail: detail, evidence: map[string]string{}}
}

// with adds evidence, unless there is none.
func (f *fault) with(name, value string) *fault {
	if value != "" {
		f.evidence[name] = message.Quote(value, maxDetail)
	}
	return f
}

// asUntried marks a fault after which nothing was tried, and so nothing proved.
func (f *fault) asUntried(untried bool) *fault {
	f.untried = untried
	return f
}

func (r *Result) stop(f *fault) {
	r.Stage, r.Detail, r.Reason, r.Evidence = f.stage, f.detail, f.reason, f.evidence
	if !f.untried {
		r.OK = new(bool)
	}
}

// milliseconds rounds to a microsecond: a clock in user space is not more exact.
func milliseconds(d time.Duration) *float64 {
	value := float64(d.Microseconds()) / 1000
	return &value
}

func ratio(value float64) *float64 {
	value = math.Round(value*1e4) / 1e4
	return &value
}

// end writes a candidate as "udp host 127.0.0.1:51234".
func end(candidate *webrtc.ICECandidate) *string {
	text := fmt.Sprintf("%s %s %s", candidate.Protocol, candidate.Typ,
		net.JoinHostPort(candidate.Address, strconv.Itoa(int(candidate.Port))))
	return &text
}
