package icechecks

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

var (
	check  = stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	answer = stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw
	alive  = stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication)).Raw
	media  = append([]byte{128, 111}, make([]byte, 100)...)
)

func end(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

func TestWhichEndIsFirst(t *testing.T) {
	const client = "203.0.113.7:4000"
	type step func(*Record)
	comes := func(packet []byte, from string) step { return func(r *Record) { r.receives(packet, end(from)) } }
	goes := func(packet []byte, to string) step { return func(r *Record) { r.sends(packet, end(to)) } }
	for name, c := range map[string]struct {
		steps   []step
		unasked bool
	}{
		"no packet":                             {nil, false},
		"the client":                            {[]step{comes(check, client), goes(check, client)}, true},
		"media":                                 {[]step{goes(check, client), comes(check, client)}, false},
		"the client, and nothing was sent":      {[]step{comes(check, client)}, true},
		"the client, and media to another port": {[]step{goes(check, "203.0.113.7:4001"), comes(check, client)}, true},
		"the client, and media to another address":        {[]step{goes(check, "203.0.113.8:4000"), comes(check, client)}, true},
		"the client, as IPv4 in IPv6":                     {[]step{comes(check, "[::ffff:203.0.113.7]:4000")}, true},
		"media, as IPv4 in IPv6":                          {[]step{goes(check, "[::ffff:203.0.113.7]:4000"), comes(check, client)}, false},
		"no request, since no packet is a check":          {[]step{comes(answer, client), comes(alive, client), comes(media, client), comes(nil, client)}, false},
		"an answer without a check before it is no check": {[]step{comes(answer, client), goes(check, client), comes(check, client)}, false},
	} {
		record := NewRecord()
		for _, do := range c.steps {
			do(record)
		}
		if got := record.CameFirst(end(client)); got != c.unasked {
			t.Errorf("first was %s: %v", name, got)
		}
	}
}

func TestZonesAreNoPartOfAnEnd(t *testing.T) {
	record := NewRecord()
	record.sends(check, end("[fe80::7%eth0]:4000"))
	record.receives(check, end("[fe80::7]:4000"))
	record.receives(check, end("[fe80::8%eth0]:4000"))
	if record.CameFirst(end("[fe80::7]:4000")) || !record.CameFirst(end("[fe80::8]:4000")) {
		t.Error("the interface makes another end of it")
	}
}

// A firewall remembers for a while where packets were sent. The record remembers it for longer.
func TestEndsAreForgottenLate(t *testing.T) {
	now := time.Now()
	record := NewRecord()
	record.since, record.clock = now, func() time.Time { return now }
	asked, came, kept := end("203.0.113.7:1"), end("203.0.113.7:2"), end("203.0.113.7:3")
	record.sends(check, asked)
	record.receives(check, came)
	record.sends(check, kept)

	now = now.Add(remembered)
	record.receives(check, asked)
	record.sends(check, kept)
	if record.CameFirst(asked) || !record.CameFirst(came) {
		t.Error("forgotten too soon")
	}
	now = now.Add(remembered)
	record.receives(check, kept)
	if record.CameFirst(kept) || record.CameFirst(came) {
		t.Error("what is used is forgotten, or what is not is kept")
	}
	now = now.Add(2 * remembered)
	record.receives(check, asked)
	record.sends(check, came)
	if !record.CameFirst(asked) || record.CameFirst(came) || len(record.before.came)+len(record.before.asked) > 0 {
		t.Error("kept for ever")
	}
}

// stranger is one of many clients.
func stranger(i int) netip.AddrPort {
	var address [4]byte
	binary.BigEndian.PutUint32(address[:], uint32(10<<24|i))
	return netip.AddrPortFrom(netip.AddrFrom4(address), 4000)
}

// Strangers that send from many addresses cost bounded memory, make no client seem first, and hide no client that comes
// later.
func TestAFloodOfChecksThatCome(t *testing.T) {
	now := time.Now()
	record := NewRecord()
	record.since, record.clock = now, func() time.Time { return now }
	asked, told, late := end("203.0.113.7:1"), end("203.0.113.7:2"), end("203.0.113.7:3")
	record.sends(check, asked)
	for i := range maxCame + 10 {
		record.receives(check, stranger(i))
	}
	record.sends(check, told)
	record.receives(check, late)
	if len(record.now.came) > maxCame {
		t.Errorf("%d clients are remembered", len(record.now.came))
	}
	for _, after := range []time.Duration{0, remembered} {
		now = now.Add(after)
		for _, client := range []netip.AddrPort{asked, told} {
			record.receives(check, client)
			if record.CameFirst(client) {
				t.Errorf("%s was not first, %s ago", client, after)
			}
		}
		if !record.CameFirst(late) {
			t.Errorf("a client that comes after a flood does not count as first, %s later", after)
		}
	}
}

// A participant can have checks sent to any number of addresses. That costs bounded memory. While the record does not
// have all clients that were sent to, no new client counts as first.
func TestAFloodOfChecksThatAreSent(t *testing.T) {
	now := time.Now()
	record := NewRecord()
	record.since, record.clock = now, func() time.Time { return now }
	early, late := end("203.0.113.7:1"), end("203.0.113.7:2")
	record.receives(check, early)
	for i := range maxAsked + 1 {
		record.sends(check, stranger(i))
	}
	if len(record.now.asked) > maxAsked {
		t.Errorf("%d clients are remembered", len(record.now.asked))
	}
	for _, after := range []time.Duration{0, remembered} {
		now = now.Add(after)
		for _, client := range []netip.AddrPort{stranger(0), stranger(maxAsked), late} {
			record.receives(check, client)
			if record.CameFirst(client) {
				t.Errorf("%s may have been sent to, %s ago", client, after)
			}
		}
		if !record.CameFirst(early) {
			t.Errorf("a client that came before the flood is forgotten, %s later", after)
		}
	}
	now = now.Add(remembered)
	record.receives(check, late)
	if !record.CameFirst(late) {
		t.Error("no client is ever first again")
	}
}
