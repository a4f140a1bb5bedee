package portmap

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
)

// PCP, RFC 6887. A mapping belongs to the machine that knows its nonce.
const (
	pcpVersion  = 2
	pcpMap      = 1
	response    = 0x80
	nonceLength = 12
	mapLength   = 60 // header and MAP, sections 7.1 and 11.1
)

var protocolNumbers = map[string]byte{"udp": 17, "tcp": 6}

var pcpResults = map[byte]string{
	1:  "it speaks another version",
	2:  "it does not allow it",
	4:  "it does not know how to map",
	5:  "it does not know an option",
	7:  "its own network is down",
	8:  "it has no room for another one",
	9:  "it does not do this protocol",
	10: "this machine has too many already",
	11: "the port is taken",
	12: "another NAT is between this machine and it",
}

// noLease says that a router's success is none: with a lease of 0 a router tells the end of a mapping.
const noLease = "it maps the port for no time at all"

type pcp struct {
	endpoints
	secret string // the nonce, in hex
}

func newNonce() string {
	nonce := make([]byte, nonceLength)
	_, _ = rand.Read(nonce) // never fails
	return hex.EncodeToString(nonce)
}

func (p *pcp) means() string { return meansPCP }
func (p *pcp) nonce() string { return p.secret }

func (p *pcp) request(ctx context.Context, port Port, seconds uint32) (grant, error) {
	nonce, err := hex.DecodeString(p.secret)
	if err != nil {
		return grant{}, refused("its nonce is damaged")
	}
	answer, err := p.ask(ctx, packPCP(p.local, nonce, port, seconds))
	if err != nil {
		return grant{}, err
	}
	given, err := unpackPCP(answer, nonce, port)
	if err == nil && seconds > 0 && *given.seconds == 0 {
		err = refused(noLease)
	}
	return given, err
}

// release asks for a lease of no time.
func (p *pcp) release(ctx context.Context, port Port) error {
	_, err := p.request(ctx, port, 0)
	return err
}

// packPCP makes a MAP request for the external port with the same number.
func packPCP(client netip.Addr, nonce []byte, port Port, seconds uint32) []byte {
	external := port.Port
	if seconds == 0 {
		external = 0
	}
	mapped, anywhere := client.As16(), netip.IPv4Unspecified().As16()
	packet := make([]byte, 0, mapLength)
	packet = append(packet, pcpVersion, pcpMap, 0, 0)
	packet = binary.BigEndian.AppendUint32(packet, seconds)
	packet = append(packet, mapped[:]...)
	packet = append(packet, nonce...)
	packet = append(packet, protocolNumbers[port.Protocol], 0, 0, 0)
	packet = binary.BigEndian.AppendUint16(packet, port.Port)
	packet = binary.BigEndian.AppendUint16(packet, external)
	return append(packet, anywhere[:]...)
}

// unpackPCP returns the mapping of an answer.
func unpackPCP(answer, nonce []byte, port Port) (grant, error) {
	if len(answer) < 4 || answer[0] != pcpVersion {
		// A server that speaks only NAT-PMP answers with its own version 0 (section 9).
		return grant{}, noAnswer("it does not speak PCP")
	}
	if result := answer[3]; result != 0 {
		return grant{}, refused(describe(pcpResults[result], "PCP", result))
	}
	if len(answer) < mapLength || answer[1] != response|pcpMap {
		return grant{}, noAnswer("its answer is not that of PCP")
	}
	body := answer[24:]
	if !bytes.Equal(body[:nonceLength], nonce) || body[12] != protocolNumbers[port.Protocol] ||
		binary.BigEndian.Uint16(body[16:]) != port.Port {
		return grant{}, noAnswer("its answer is to another question")
	}
	external := netip.AddrFrom16([16]byte(body[20:36])).Unmap()
	if !external.Is4() {
		external = netip.IPv4Unspecified()
	}
	seconds := binary.BigEndian.Uint32(answer[4:])
	return grant{binary.BigEndian.Uint16(body[18:]), external, &seconds, true}, nil
}

// describe returns the meaning of a result code that the RFC knows.
func describe[N byte | uint16](known, language string, code N) string {
	if known != "" {
		return known
	}
	return fmt.Sprintf("%s result code %d", language, code)
}
