package signal

import (
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"golang.org/x/time/rate"

	"lkhub/engine/internal/recent"
)

// sectionsMost is how many media sections one offer may have, and how many new ones a client may have in later offers.
// sectionsRate is how many more it may have in a second. Media keeps about 30 KB for each section as long as the
// session lasts, even if the next offer lacks the section. A client with one peer connection has a section for each
// track that it receives or sends.
const (
	sectionsMost = 2000
	sectionsRate = 1
)

var errSections = psrpc.NewErrorf(psrpc.InvalidArgument, "the client offers more media sections than media keeps for one")

// sections has the media sections that one client has offered, by mid, on all its connections.
type sections struct {
	limit *rate.Limiter
	mids  recent.Set[string]
}

func newSections() *sections {
	return &sections{limit: rate.NewLimiter(sectionsRate, sectionsMost), mids: recent.New[string](sectionsMost, recent.Forever)}
}

// take says whether the offer may be given to media. If so, it remembers the offer's sections.
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

// readSections returns the number of sections and their mids. It splits lines as pion/sdp does, where a carriage return
// alone ends a line (v3, base_lexer.go).
func readSections(offer *livekit.SessionDescription) (count int, mids []string) {
	for line := range strings.FieldsFuncSeq(offer.GetSdp(), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.HasPrefix(line, "m=") {
			count++
		} else if mid, ok := strings.CutPrefix(line, "a=mid:"); ok {
			mids = append(mids, strings.Clone(mid)) // a copy, so as not to keep the whole description
		}
	}
	return count, mids
}
