package sfu

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

func TestLongValuesAreShortenedAndJSONStaysJSON(t *testing.T) {
	for _, unit := range []string{"A", "é", "\x1b", "\"", "\\", "\u202e", "\U0001f600", "\xff", ",", "}"} {
		for _, count := range []int{1, maxLogged - 1, maxLogged, maxLogged + 1, 600_000} {
			value := strings.ToValidUTF8(strings.Repeat(unit, count), "?")
			line, err := json.Marshal(map[string]string{"msg": "error in auth", "error": "issuer: " + value, "z": "end"})
			if err != nil {
				t.Fatal(err)
			}
			var told map[string]string
			short := shorten(append(line, '\n'))
			if err := json.Unmarshal(short, &told); err != nil || short[len(short)-1] != '\n' {
				t.Fatalf("%q %d times: %v", unit, count, err)
			}
			if told["msg"] != "error in auth" || told["z"] != "end" || !strings.HasPrefix(told["error"], "issuer: ") {
				t.Errorf("%q %d times: %.100q", unit, count, short)
			}
			if characters := len([]rune(told["error"])); characters > maxLogged+1 {
				t.Errorf("%q %d times: %d characters", unit, count, characters)
			}
		}
	}
	if plain := shorten([]byte(strings.Repeat("x", 1<<20) + "\n")); len(plain) > maxLogged+10 || plain[len(plain)-1] != '\n' {
		t.Errorf("a line without quotes has %d bytes, and ends with %q", len(plain), plain[len(plain)-1])
	}
}

func TestSuccessfulReadsAreNotLogged(t *testing.T) {
	const begin = `{"level":"info","ts":1795907653.7,"logger":"livekit.api","caller":"service/twirp.go:153",`
	left := []string{
		begin + `"msg":"API RoomService.ListRooms","service":"RoomService","room":[],"status":"200"}`,
		begin + `"msg":"API RoomService.ListParticipants","service":"RoomService","room":"b","status":"200"}`,
		begin + `"msg":"API RoomService.GetParticipant","service":"RoomService","room":"b","status":"200"}`,
	}
	kept := []string{
		begin + `"msg":"API RoomService.ListParticipants","service":"RoomService","room":"b","status":"401"}`,
		begin + `"msg":"API RoomService.DeleteRoom","service":"RoomService","room":"b","status":"200"}`,
		begin + `"msg":"API RoomService.DeleteRoom","room":"\"msg\":\"API RoomService.ListRooms\"","status":"200"}`,
		begin + `"msg":"room closed","room":"API RoomService.ListRooms"}`,
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range append(left, kept...) {
		if size, err := (shortLines{writer}).Write([]byte(line + "\n")); err != nil || size != len(line)+1 {
			t.Errorf("%d, %v: %s", size, err, line)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	written, err := io.ReadAll(reader)
	if want := strings.Join(kept, "\n") + "\n"; err != nil || string(written) != want {
		t.Errorf("%v: %s", err, written)
	}
}
