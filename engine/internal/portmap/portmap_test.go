package portmap

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lkhub/engine/internal/message"
)

const lease = 12 * 3600

// pcpRouter has what a PCP router has granted: the nonce of each mapping, by protocol number and port.
type pcpRouter struct {
	lock    sync.Mutex
	table   map[string]string
	results map[uint16]byte // result codes, by port
	ends    map[uint16]byte // the same for the end of a mapping
	moves   uint16          // how far the external port is from the one that was asked for
	quiet   map[uint16]bool // ports that it does not answer for
	asked   int
}

func newPCPRouter() *pcpRouter {
	return &pcpRouter{table: map[string]string{}, results: map[uint16]byte{}, ends: map[uint16]byte{}, quiet: map[uint16]bool{}}
}

func (r *pcpRouter) answer(request []byte) []byte {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.asked++
	if len(request) != mapLength || request[0] != pcpVersion {
		return nil
	}
	answer := slices.Clone(request)
	answer[1] |= response
	port, seconds := binary.BigEndian.Uint16(request[40:]), binary.BigEndian.Uint32(request[4:])
	results := r.results
	if seconds == 0 {
		results = r.ends
	}
	key := fmt.Sprintf("%d/%d", port, request[36])
	switch code := results[port]; {
	case r.quiet[port]:
		return nil
	case code != 0:
		answer[3] = code
	case seconds == 0:
		delete(r.table, key)
	default:
		r.table[key] = fmt.Sprintf("%x", request[24:36])
		binary.BigEndian.PutUint16(answer[42:], port+r.moves)
		external := netip.MustParseAddr("1.2.3.4").As16()
		copy(answer[44:], external[:])
	}
	return answer
}

func (r *pcpRouter) ports() string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(r.table)), " ")
}

// start returns an asker whose only gateway is this router on loopback.
func (r *pcpRouter) start(t *testing.T) asker {
	t.Helper()
	where, _ := startRouter(t, r.answer)
	return askerAt(where)
}

func askerAt(where endpoints) asker {
	return asker{
		func() []netip.Addr { return []netip.Addr{loopback} },
		func(uplink uplink) endpoints {
			where.uplink = uplink
			return where
		},
	}
}

func mapping(ports ...Port) Request {
	return Request{Version: message.Version, Action: ActionMap, Seconds: lease, Mappings: ports}
}

// again is the request that follows an answer in which everything was granted.
func again(action string, answer Answer) Request {
	record := Record{
		Gateway: netip.MustParseAddr(answer.Gateway), Local: netip.MustParseAddr(answer.Local),
		Means: answer.Means, Nonce: answer.Nonce,
	}
	for _, result := range answer.Mappings {
		record.Mappings = append(record.Mappings, Recorded{result.Port, result.Own})
	}
	return Request{Version: message.Version, Action: action, Seconds: lease, Record: &record}
}

// must runs a request that must be granted.
func (a asker) must(t *testing.T, request Request) Answer {
	t.Helper()
	answer := a.do(context.Background(), request)
	if answer.Error != nil {
		t.Fatal(answer.Error)
	}
	return answer
}

// fails runs a request that must not be granted, and checks the reason.
func (a asker) fails(t *testing.T, request Request, code Reason, text string) Answer {
	t.Helper()
	answer := a.do(context.Background(), request)
	if answer.Error == nil || answer.Error.Code != code || !strings.Contains(answer.Error.Message, text) {
		t.Fatalf("%v, wanted %s: %s", answer.Error, code, text)
	}
	return answer
}

func reasons(answer Answer) string {
	var found []string
	for _, result := range answer.Mappings {
		found = append(found, string(result.Reason))
	}
	return strings.Join(found, " ")
}

func TestPortsAreGrantedUnderOneNonce(t *testing.T) {
	router := newPCPRouter()
	answer := router.start(t).must(t, mapping(media, web))
	if router.ports() != "443/6 7882/17" || reasons(answer) != "granted granted" {
		t.Error(router.ports(), reasons(answer))
	}
	if answer.Means != "pcp" || answer.ExternalAddress != "1.2.3.4" || *answer.Mappings[1].Seconds != lease {
		t.Error(answer)
	}
	for _, nonce := range router.table {
		if nonce != answer.Nonce {
			t.Errorf("%s is not %s", nonce, answer.Nonce)
		}
	}
}

func TestFirstLanguageThatIsAnsweredIsTaken(t *testing.T) {
	router, where := startIGD(t)
	where.port, where.waits = 1, []time.Duration{time.Minute} // nothing listens there
	answer := askerAt(where).must(t, mapping(media, web))
	if answer.Means != "upnp" || answer.Nonce != "" || len(router.table) != 2 {
		t.Error(answer, router.table)
	}
}

func TestWhenNoLanguageIsAnsweredAllAreNamed(t *testing.T) {
	router, where := startIGD(t)
	where.port, where.waits = 1, []time.Duration{time.Minute}
	where.searches[0].wait, where.searches[1].wait = time.Millisecond, time.Millisecond
	router.mute = 1000
	answer := askerAt(where).fails(t, mapping(media), NoAnswer,
		"the router at 127.0.0.1 does not take requests for port mappings (pcp: nothing listens there; "+
			"nat-pmp: nothing listens there; upnp: it does not answer a search)")
	if len(answer.Tried) != 3 || answer.Tried[2].Reason != NoAnswer || reasons(answer) != "not-asked" {
		t.Error(answer)
	}
}

func TestRefusalLeavesNothingMapped(t *testing.T) {
	router := newPCPRouter()
	router.results[443] = 11
	third := Port{"udp", 3478, "lkhub relay.udp"}
	answer := router.start(t).fails(t, mapping(media, web, third), Refused,
		"the router at 127.0.0.1 refused 443/tcp: the port is taken")
	if router.ports() != "" || reasons(answer) != "taken-back refused not-asked" {
		t.Error(router.ports(), reasons(answer))
	}
}

func TestAnotherPortThanTheOneThatClientsAreToldIsARefusal(t *testing.T) {
	router := newPCPRouter()
	router.moves = 1
	answer := router.start(t).fails(t, mapping(media), OtherPort, "it gave external port 7883: 7882 is taken")
	if router.ports() != "" || reasons(answer) != "other-port" || answer.Mappings[0].ExternalPort != 7883 {
		t.Error(router.ports(), answer)
	}
}

func TestRouterThatStopsAnsweringIsTold(t *testing.T) {
	router := newPCPRouter()
	router.quiet[443] = true
	where, _ := startRouter(t, router.answer)
	where.waits = []time.Duration{2 * time.Second}
	answer := askerAt(where).fails(t, mapping(media, web), Stopped, "the router at 127.0.0.1 stopped answering")
	if router.ports() != "" || reasons(answer) != "taken-back no-answer" {
		t.Error(router.ports(), reasons(answer))
	}
}

func TestRenewingIsTheSameWithTheSameNonce(t *testing.T) {
	router := newPCPRouter()
	asker := router.start(t)
	first := asker.must(t, mapping(media, web))
	clear(router.table) // it was restarted
	second := asker.must(t, again(ActionRenew, first))
	if second.Nonce != first.Nonce || router.ports() != "443/6 7882/17" || second.Mappings[0].Name != media.Name {
		t.Error(second, router.ports())
	}
}

func TestFailedRenewalLeavesWhatWasMapped(t *testing.T) {
	router := newPCPRouter()
	asker := router.start(t)
	first := asker.must(t, mapping(media, web))
	router.results[443] = 8
	answer := asker.fails(t, again(ActionRenew, first), Refused, "it has no room")
	if router.ports() != "443/6 7882/17" || reasons(answer) != "granted refused" {
		t.Error(router.ports(), reasons(answer))
	}
}

func TestPortsThatAreNoLongerWantedAreGivenBack(t *testing.T) {
	router := newPCPRouter()
	asker := router.start(t)
	request := again(ActionMap, asker.must(t, mapping(media, web)))
	request.Mappings = []Port{media}
	answer := asker.must(t, request)
	if router.ports() != "7882/17" || reasons(answer) != "granted given-back" {
		t.Error(router.ports(), reasons(answer))
	}
}

func TestRenewalAsksInTheLanguageOfTheRecordAlone(t *testing.T) {
	igd, where := startIGD(t)
	where.port, where.waits = 1, []time.Duration{time.Minute}
	asker := askerAt(where)
	record := again(ActionRenew, asker.must(t, mapping(media)))
	record.Record.Means, record.Record.Nonce = "pcp", nonceText
	heard := igd.verbs()
	answer := asker.fails(t, record, NoAnswer, "(pcp: nothing listens there)")
	if igd.verbs() != heard || len(answer.Tried) != 1 {
		t.Error(igd.verbs(), answer.Tried)
	}
	// ActionMap goes on: another router at this address may speak another protocol.
	record.Action, record.Mappings = ActionMap, []Port{media}
	if answer := asker.must(t, record); answer.Means != "upnp" {
		t.Error(answer)
	}
}

func TestAnotherAddressAsksFromTheStart(t *testing.T) {
	igd, where := startIGD(t)
	where.port, where.waits = 1, []time.Duration{time.Minute}
	asker := askerAt(where)
	request := again(ActionRenew, asker.must(t, mapping(media)))
	request.Record.Means, request.Record.Nonce = "pcp", nonceText
	request.Record.Local = netip.MustParseAddr("127.0.0.9")
	if answer := asker.must(t, request); answer.Means != "upnp" || answer.Local != "127.0.0.1" {
		t.Error(answer, igd.verbs())
	}
}

func TestAnotherRouterIsNeverAsked(t *testing.T) {
	router := newPCPRouter()
	asker := router.start(t)
	first := asker.must(t, mapping(media))
	asked := router.asked
	renewal := again(ActionRenew, first)
	renewal.Record.Gateway = netip.MustParseAddr("192.168.1.1")
	answer := asker.fails(t, renewal, OtherRouter,
		"they are those of the router at 192.168.1.1, and this machine's is now 127.0.0.1")
	if answer.Gateway != "127.0.0.1" {
		t.Error(answer)
	}
	giving := again(ActionUnmap, first)
	giving.Record.Gateway = netip.MustParseAddr("192.168.1.1")
	answer = asker.fails(t, giving, NotReturned,
		"the router at 192.168.1.1 keeps 7882/udp (this machine's router is now 127.0.0.1)")
	if reasons(answer) != "other-router" || router.asked != asked {
		t.Error(reasons(answer), router.asked-asked)
	}
}

// On a machine with several networks, the gateway that is used first may have changed.
func TestSecondGatewayGetsItsPortsBack(t *testing.T) {
	router := newPCPRouter()
	asker := router.start(t)
	first := asker.must(t, mapping(media))
	asker.gateways = func() []netip.Addr { return append(addresses("192.168.1.1"), loopback) }
	asker.must(t, again(ActionUnmap, first))
	if router.ports() != "" {
		t.Error(router.ports())
	}
}

func TestMachineWithoutARouterSendsNothing(t *testing.T) {
	router := newPCPRouter()
	asker := router.start(t)
	first := asker.must(t, mapping(media))
	asked := router.asked
	asker.gateways = func() []netip.Addr { return nil }
	asker.fails(t, mapping(media), NoRouter, "this machine has no router")
	asker.fails(t, again(ActionRenew, first), NoRouter, "no IPv4 default route")
	answer := asker.fails(t, again(ActionUnmap, first), NotReturned, "keeps 7882/udp (this machine has no router)")
	if reasons(answer) != "no-router" || router.asked != asked {
		t.Error(reasons(answer), router.asked-asked)
	}
}

func TestMappingOfAnotherProgramIsNeverGivenBack(t *testing.T) {
	igd, where := startIGD(t)
	where.port, where.waits = 1, []time.Duration{time.Minute}
	asker := askerAt(where)
	igd.table["TCP 443"] = entry{443, "127.0.0.1", "my own", 0}
	answer := asker.must(t, mapping(media, web))
	if !answer.Mappings[0].Own || answer.Mappings[1].Own {
		t.Error(answer)
	}
	asker.must(t, again(ActionUnmap, answer))
	if len(igd.table) != 1 {
		t.Error(igd.table)
	}
	// Nor where another port is refused.
	igd.refuses = func(verb string, arguments map[string]string) int {
		if verb == "AddPortMapping" {
			return inConflict
		}
		return 0
	}
	asker.fails(t, mapping(web, media), Refused, "port 7882 is taken")
	if len(igd.table) != 1 {
		t.Error(igd.table)
	}
}

func TestWhatARouterKeepsIsTold(t *testing.T) {
	router := newPCPRouter()
	router.ends[443] = 2
	asker := router.start(t)
	answer := asker.fails(t, again(ActionUnmap, asker.must(t, mapping(web, media))), NotReturned,
		"the router at 127.0.0.1 keeps 443/tcp (it does not allow it)")
	if router.ports() != "443/6" || reasons(answer) != "refused given-back" {
		t.Error(router.ports(), reasons(answer))
	}
}
