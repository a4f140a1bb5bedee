package relay

import (
	"io"
	"log"
	"sync"
	"time"
)

// logLines a second are more than a relay has to say that is well.
const logLines = 20

// boundedLog lets so many lines through each second, and says how many it left out. Each packet of a stranger's, whose
// address may be forged, can make pion log a line several times as long: without a bound a second of that drives out of
// the log whatever was in it. One Write is one line.
type boundedLog struct {
	to    io.Writer
	clock func() time.Time

	mu      sync.Mutex
	second  int64
	written int
	left    int
}

func newBoundedLog(to io.Writer) *boundedLog { return &boundedLog{to: to, clock: time.Now} }

func (b *boundedLog) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if second := b.clock().Unix(); second != b.second {
		if b.left > 0 {
			log.New(b.to, "", log.LstdFlags).Printf("%d more lines were left out", b.left)
		}
		b.second, b.written, b.left = second, 0, 0
	}
	if b.written >= logLines {
		b.left++
		return len(line), nil
	}
	b.written++
	return b.to.Write(line)
}
