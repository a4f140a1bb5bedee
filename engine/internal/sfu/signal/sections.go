package signal

import (
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"golang.org/x/time/rate"

	"lkhub/engine/internal/recent"
)

// sectionsMost is how many media sections one offer may have, and how many others a client may come with in later offers;
// sectionsRate is how many more a second. Media keeps about 30 KB for each as long as the session lasts, also where the next
// offer does not have it. A client with one peer connection has one for each track that it gets or sends.
const (
	sectionsMost = 2000
	sectionsRate = 1
)

var errSections = psrpc.NewErrorf(psrpc.InvalidArgument, "the client offers more media sections than media keeps for one")

// sections are the media sections that one client has offered, by their mids, whatever its connection.
type sections struct {
	limit *rate.Limiter
	mids  recent.Set[string]
}

func newSections() *sections {
	return &sections{limit: rate.NewLimiter(sectionsRate, sectionsMost), mids: recent.New[string](sectionsMost, recent.Forever)}
}

// take says whether media may be given the offer, and remembers its sections then.
func (s *sections) take(now time.Time, offer *livekit.SessionDescription) bool {
	count, mids := readSections(offer)
	if count > sectionsMost || !s.limit.AllowN(now, s.mids.CountFresh(mids)) {
		return false
	}
	for _, mid := range mids {
		s.mids.Add(mid, now)
	}
	return true
}

func (s *sections) isWhole(now time.Time) bool { return s.limit.TokensAt(now) >= sectionsMost }

// readSections returns how many sections there are, and their mids. It reads lines as pion/sdp does: a carriage return may
// stand alone (v3, base_lexer.go).
func readSections(offer *livekit.SessionDescription) (count int, mids []string) {
	for line := range strings.FieldsFuncSeq(offer.GetSdp(), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.HasPrefix(line, "m=") {
			count++
		} else if mid, ok := strings.CutPrefix(line, "a=mid:"); ok {
			mids = append(mids, strings.Clone(mid)) // not the whole description
		}
	}
	return count, mids
}
