// Package stun asks a STUN server which address it sees.
package stun

import (
	"errors"
	"net"
	"time"

	"github.com/pion/stun/v3"
)

// Ask asks the server, host:port, over udp4 or udp6.
func Ask(network, server string, timeout time.Duration) (net.IP, error) {
	conn, err := net.DialTimeout(network, server, timeout)
	if err != nil {
		return nil, err
	}
	client, err := stun.NewClient(conn)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	// Do can't be used: it waits for ever if the answer does not come before Close (pion/stun 3.1.6).
	answers := make(chan stun.Event, 1)
	err = client.Start(stun.MustBuild(stun.TransactionID, stun.BindingRequest), func(event stun.Event) {
		select {
		case answers <- event:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case answer := <-answers:
		var address stun.XORMappedAddress
		if answer.Error != nil {
			return nil, answer.Error
		}
		if err := address.GetFrom(answer.Message); err != nil {
			return nil, err
		}
		return address.IP, nil
	case <-time.After(timeout):
		return nil, errors.New("no answer within " + timeout.String())
	}
}
