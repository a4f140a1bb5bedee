package relay

import (
	"io"
	"log"
	"sync"
	"time"
)

// A relay without trouble logs fewer lines a second than logLines.
const logLines = 20

// boundedLog writes a limited number of lines a second, and says how many it left out. Any packet, even with a forged
// address, can make pion log a line that is several times as long. Without a limit, one second of such packets would
// push everything else out of the log. Each Write is one line.
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
