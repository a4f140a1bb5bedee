package sfu

import (
	"bytes"
	"os"
	"unicode/utf8"
)

// maxLogged is how many characters of one value livekit-server logs: enough for a stack trace. It logs the API key that
// a token names before it has checked the token, and in a header that key may have a megabyte.
const maxLogged = 2000

// reads are the messages of requests that change nothing. What watches the rooms makes them every second for each room,
// and they would soon push all else out of the log.
var reads = [][]byte{
	[]byte(`"msg":"API RoomService.ListRooms"`),
	[]byte(`"msg":"API RoomService.ListParticipants"`),
	[]byte(`"msg":"API RoomService.GetParticipant"`),
}

// shortLines shortens the values of each line to maxLogged, and leaves out lines that say nothing (isRead). Each Write
// is one line: JSON, or text that contains JSON.
type shortLines struct{ to *os.File }

func (s shortLines) Write(line []byte) (int, error) {
	if isRead(line) {
		return len(line), nil
	}
	if len(line) <= maxLogged {
		return s.to.Write(line)
	}
	if _, err := s.to.Write(shorten(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func (s shortLines) Sync() error { return s.to.Sync() }

// isRead says whether a line of JSON is about a successful request that changed nothing. In a value, each quote has a
// backslash before it, so no name of a room can look like these keys.
func isRead(line []byte) bool {
	if !bytes.Contains(line, []byte(`"status":"200"`)) {
		return false
	}
	for _, read := range reads {
		if bytes.Contains(line, read) {
			return true
		}
	}
	return false
}

// shorten cuts every text in quotes, and every text outside them, after maxLogged characters. An escape counts as one
// character, so that JSON stays valid.
func shorten(line []byte) []byte {
	short := make([]byte, 0, 2*maxLogged)
	written := 0
	for len(line) > 0 {
		size := characterSize(line)
		quote := line[0] == '"' || line[0] == '\n'
		if quote {
			written = 0
		} else {
			written++
		}
		switch {
		case quote || written <= maxLogged:
			short = append(short, line[:size]...)
		case written == maxLogged+1:
			short = append(short, "…"...)
		}
		line = line[size:]
	}
	return short
}

// characterSize is the number of bytes of text's first character or JSON escape. text is not empty.
func characterSize(text []byte) int {
	_, size := utf8.DecodeRune(text)
	if text[0] == '\\' {
		size = 2
		if len(text) > 1 && text[1] == 'u' {
			size = 6
		}
	}
	return min(size, len(text))
}
