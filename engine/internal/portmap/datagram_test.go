package portmap

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// What miniupnpd 2.3.1 received and answered for 7882/udp, 12 h.
const (
	pcpRequest = "02010000" + "0000a8c0" + "00000000000000000000ffffc0a84d02" + "000102030405060708090a0b" +
		"11000000" + "1eca1eca" + "00000000000000000000ffff00000000"
	pcpAnswer = "02810000" + "0000a8c0" + "00000007" + "000000000000000000000000" + "000102030405060708090a0b" +
		"11000000" + "1eca1eca" + "00000000000000000000ffff0b000001"
)

const (
	nonceText     = "000102030405060708090a0b"
	addressAnswer = "00800000000000070b000001"
	tcpAnswer     = "008200000000000701bb01bb00000e10"
)

func unhex(text string) []byte {
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

var (
	media = Port{"udp", 7882, "lkhub media.udp"}
	web   = Port{"tcp", 443, "lkhub tls.listen"}
)

// reply returns a fake router's answer to a datagram, or nil for no answer.
type reply func(request []byte) []byte

// startRouter is a router on loopback that speaks PCP or NAT-PMP. heard is how many datagrams have arrived.
func startRouter(t *testing.T, answer reply) (where endpoints, heard func() int) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var lock sync.Mutex
	count := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 2000)
		for {
			length, sender, err := conn.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			lock.Lock()
			count++
			lock.Unlock()
			if said := answer(buffer[:length]); said != nil {
				_, _ = conn.WriteToUDP(said, sender)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	return endpoints{uplink: uplink{loopback, loopback}, port: port, waits: []time.Duration{time.Minute}}, func() int {
		lock.Lock()
		defer lock.Unlock()
		return count
	}
}

// inTurn answers with each text once, then with the last one again and again; "" is no answer.
func inTurn(texts ...string) reply {
	next := 0
	return func([]byte) []byte {
		text := texts[min(next, len(texts)-1)]
		next++
		if text == "" {
			return nil
		}
		return unhex(text)
	}
}

// expect checks the kind and the text of a refusal.
func expect(t *testing.T, err error, reason Reason, text string) {
	t.Helper()
	known, ok := err.(refusal)
	if !ok || known.reason != reason || !strings.Contains(known.text, text) {
		t.Errorf("%v, wanted %s: %s", err, reason, text)
	}
}

func TestPCPRequestIsTheOneOfTheRFC(t *testing.T) {
	client := netip.MustParseAddr("192.168.77.2")
	if got := hex.EncodeToString(packPCP(client, unhex(nonceText), media, 43200)); got != pcpRequest {
		t.Error(got)
	}
	if ended := packPCP(client, unhex(nonceText), media, 0); ended[42] != 0 || ended[43] != 0 {
		t.Errorf("the end of a mapping names an external port: %x", ended)
	}
}

func TestPCPAnswerIsRead(t *testing.T) {
	got, err := unpackPCP(unhex(pcpAnswer), unhex(nonceText), media)
	if err != nil || got.port != 7882 || got.address.String() != "11.0.0.1" || *got.seconds != 43200 || !got.own {
		t.Error(got, err)
	}
}

func TestPCPRefusalIsTold(t *testing.T) {
	for code, text := range map[byte]string{2: "it does not allow it", 11: "the port is taken", 99: "PCP result code 99"} {
		answer := unhex(pcpAnswer)
		answer[3] = code
		_, err := unpackPCP(answer, unhex(nonceText), media)
		expect(t, err, Refused, text)
	}
}

func TestPCPAnswerToSomethingElseIsNone(t *testing.T) {
	for _, asked := range []struct {
		nonce []byte
		port  Port
	}{
		{make([]byte, 12), media},
		{unhex(nonceText), Port{"tcp", 7882, ""}},
		{unhex(nonceText), Port{"udp", 7883, ""}},
	} {
		_, err := unpackPCP(unhex(pcpAnswer), asked.nonce, asked.port)
		expect(t, err, NoAnswer, "another question")
	}
}

func TestServerOfNATPMPAloneIsRecognised(t *testing.T) {
	_, err := unpackPCP(unhex("0081000100000007"), unhex(nonceText), media)
	expect(t, err, NoAnswer, "does not speak PCP")
}

func TestNATPMPIsTheOneOfTheRFC(t *testing.T) {
	if got := hex.EncodeToString(packNATPMP(web, 443, 7200)); got != "0002000001bb01bb00001c20" {
		t.Error(got)
	}
	given, seconds, err := unpackNATPMP(unhex("008200000000000701bb01bc00000e10"), web)
	if given != 444 || seconds != 3600 || err != nil {
		t.Error(given, seconds, err)
	}
	if got, err := unpackNATPMPAddress(unhex(addressAnswer)); err != nil || got.String() != "11.0.0.1" {
		t.Error(got, err)
	}
	_, _, err = unpackNATPMP(unhex("008200020000000701bb000000000000"), web)
	expect(t, err, Refused, "does not allow")
	_, _, err = unpackNATPMP(unhex("008200630000000701bb000000000000"), web)
	expect(t, err, Refused, "NAT-PMP result code 99")
	_, _, err = unpackNATPMP(unhex("00820000"), web)
	expect(t, err, NoAnswer, "too short")
	_, _, err = unpackNATPMP(unhex("008200000000000701bc01bc00000e10"), web)
	expect(t, err, NoAnswer, "another question")
}

func FuzzNoAnswerIsTooOdd(f *testing.F) {
	for _, text := range []string{"", "02", pcpAnswer, addressAnswer, tcpAnswer} {
		f.Add(unhex(text))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		_, one := unpackPCP(answer, unhex(nonceText), media)
		_, _, two := unpackNATPMP(answer, media)
		_, three := unpackNATPMPAddress(answer)
		for _, err := range []error{one, two, three} {
			if _, ok := err.(refusal); err != nil && !ok {
				t.Errorf("%v is no refusal", err)
			}
		}
	})
}

func TestLostDatagramIsSentAgain(t *testing.T) {
	where, heard := startRouter(t, inTurn("", pcpAnswer))
	where.waits = []time.Duration{10 * time.Millisecond, time.Minute}
	got, err := (&pcp{endpoints: where, secret: nonceText}).request(context.Background(), media, 43200)
	if err != nil || got.port != 7882 || heard() != 2 {
		t.Error(got, err, heard())
	}
}

func TestNATPMPAsksForTheAddressFirstAndOnce(t *testing.T) {
	where, heard := startRouter(t, inTurn(addressAnswer, tcpAnswer))
	router := &natpmp{endpoints: where}
	for range 2 {
		got, err := router.request(context.Background(), web, 7200)
		if err != nil || got.address.String() != "11.0.0.1" || *got.seconds != 3600 {
			t.Fatal(got, err)
		}
	}
	if heard() != 3 {
		t.Errorf("%d datagrams", heard())
	}
}

// With a lease of 0 a router tells the end of a mapping.
func TestMappingWithoutATimeIsNone(t *testing.T) {
	answer := unhex(pcpAnswer)
	copy(answer[4:8], make([]byte, 4))
	where, _ := startRouter(t, inTurn(hex.EncodeToString(answer)))
	asked := &pcp{endpoints: where, secret: nonceText}
	_, err := asked.request(context.Background(), media, 43200)
	expect(t, err, Refused, noLease)
	if err := asked.release(context.Background(), media); err != nil {
		t.Error(err)
	}

	where, _ = startRouter(t, inTurn(addressAnswer, "008200000000000701bb01bb00000000"))
	_, err = (&natpmp{endpoints: where}).request(context.Background(), web, 7200)
	expect(t, err, Refused, noLease)
}

func TestEndOfANATPMPMappingNamesNoExternalPort(t *testing.T) {
	asked := make(chan string, 1)
	where, _ := startRouter(t, func(request []byte) []byte {
		asked <- hex.EncodeToString(request)
		return unhex("008200000000000701bb000000000000")
	})
	err := (&natpmp{endpoints: where}).release(context.Background(), web)
	if got := <-asked; err != nil || got != "0002000001bb000000000000" {
		t.Error(got, err)
	}
}

func TestSilenceAndNothingAtAllAreToldApart(t *testing.T) {
	where, _ := startRouter(t, inTurn(""))
	where.waits = []time.Duration{10 * time.Millisecond, 10 * time.Millisecond}
	_, err := where.ask(context.Background(), []byte{0})
	expect(t, err, NoAnswer, "it does not answer")
	nothing := endpoints{uplink: uplink{loopback, loopback}, port: 1, waits: []time.Duration{time.Minute}}
	_, err = nothing.ask(context.Background(), []byte{0})
	expect(t, err, NoAnswer, "nothing listens there")
	elsewhere := endpoints{uplink: uplink{loopback, netip.MustParseAddr("192.0.2.1")}, port: 1, waits: nothing.waits}
	_, err = elsewhere.ask(context.Background(), []byte{0})
	expect(t, err, NoAnswer, "nothing listens there")
}

func TestAskingEndsWhenItIsCancelled(t *testing.T) {
	asked, cancel := context.WithCancel(context.Background())
	where, _ := startRouter(t, func([]byte) []byte {
		cancel()
		return nil
	})
	if _, err := where.ask(asked, []byte{0}); err == nil {
		t.Error("an answer")
	}
}
