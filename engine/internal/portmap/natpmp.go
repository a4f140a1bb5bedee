package portmap

import (
	"context"
	"encoding/binary"
	"net/netip"
)

// NAT-PMP, RFC 6886. A mapping belongs to the machine that asked for it.
var natpmpOpcodes = map[string]byte{"udp": 1, "tcp": 2}

var natpmpResults = map[uint16]string{
	1: "it speaks another version",
	2: "it does not allow it",
	3: "its own network is down",
	4: "it has no room for another one",
	5: "it does not know how to map",
}

type natpmp struct {
	endpoints
	address netip.Addr // the router's own; not valid before the router was asked
}

func (n *natpmp) means() string { return meansNATPMP }
func (n *natpmp) nonce() string { return "" }

func (n *natpmp) request(ctx context.Context, port Port, seconds uint32) (grant, error) {
	if !n.address.IsValid() {
		answer, err := n.ask(ctx, []byte{0, 0})
		if err != nil {
			return grant{}, err
		}
		if n.address, err = unpackNATPMPAddress(answer); err != nil {
			return grant{}, err
		}
	}
	answer, err := n.ask(ctx, packNATPMP(port, port.Port, seconds))
	if err != nil {
		return grant{}, err
	}
	given, lease, err := unpackNATPMP(answer, port)
	if err == nil && lease == 0 {
		err = refused(noLease)
	}
	return grant{given, n.address, &lease, true}, err
}

func (n *natpmp) release(ctx context.Context, port Port) error {
	// Section 3.4: the end of a mapping names no external port.
	answer, err := n.ask(ctx, packNATPMP(port, 0, 0))
	if err == nil {
		_, _, err = unpackNATPMP(answer, port)
	}
	return err
}

// packNATPMP makes a request for a mapping (section 3.3).
func packNATPMP(port Port, external uint16, seconds uint32) []byte {
	packet := []byte{0, natpmpOpcodes[port.Protocol], 0, 0}
	packet = binary.BigEndian.AppendUint16(packet, port.Port)
	packet = binary.BigEndian.AppendUint16(packet, external)
	return binary.BigEndian.AppendUint32(packet, seconds)
}

// unpackNATPMP returns the external port and the lease of an answer.
func unpackNATPMP(answer []byte, port Port) (given uint16, seconds uint32, err error) {
	if err := checkNATPMP(answer, natpmpOpcodes[port.Protocol], 16); err != nil {
		return 0, 0, err
	}
	if binary.BigEndian.Uint16(answer[8:]) != port.Port {
		return 0, 0, noAnswer("its answer is to another question")
	}
	return binary.BigEndian.Uint16(answer[10:]), binary.BigEndian.Uint32(answer[12:]), nil
}

// unpackNATPMPAddress returns the router's external address (section 3.2).
func unpackNATPMPAddress(answer []byte) (netip.Addr, error) {
	if err := checkNATPMP(answer, 0, 12); err != nil {
		return netip.Addr{}, err
	}
	return netip.AddrFrom4([4]byte(answer[8:12])), nil
}

func checkNATPMP(answer []byte, opcode byte, length int) error {
	if len(answer) < 4 || answer[0] != 0 || answer[1] != response|opcode {
		return noAnswer("it does not speak NAT-PMP")
	}
	if result := binary.BigEndian.Uint16(answer[2:]); result != 0 {
		return refused(describe(natpmpResults[result], "NAT-PMP", result))
	}
	if len(answer) < length {
		return noAnswer("its answer is too short")
	}
	return nil
}
