package sendcount

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var client = netip.MustParseAddrPort("[::ffff:192.0.2.1]:5000")

func TestCounter(t *testing.T) {
	var c Counter
	if c.Report() != nil {
		t.Error("something is told where nothing is known")
	}
	c.Leave(3)
	refusal := &net.OpError{Op: "write", Err: os.NewSyscallError("sendto", syscall.EPERM)}
	c.Refuse(refusal, client)
	c.Refuse(refusal, client)
	text, _ := json.Marshal(c.Report())
	want := `{"left":3,"refused":2,"row":2,"last":{"at":`
	if end := `,"errno":"EPERM","error":"operation not permitted","to":"192.0.2.1:5000"}}`; !strings.HasPrefix(string(text), want) || !strings.HasSuffix(string(text), end) {
		t.Errorf("%s", text)
	}
	c.Leave(1)
	if r := c.Report(); r.Row != 0 || r.Refused != 2 || r.Left != 4 || r.Last == nil {
		t.Errorf("%+v", r)
	}
	c.Refuse(errors.New("odd"), client)
	if r := c.Report(); r.Row != 1 || r.Last.Errno != "" || r.Last.Error != "odd" {
		t.Errorf("%+v, %+v", r, r.Last)
	}
}

func TestCounterIsForManySockets(t *testing.T) {
	var c Counter
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				c.Refuse(syscall.EPERM, client)
				c.Report()
			}
		})
	}
	all.Wait()
	if r := c.Report(); r.Row != 8000 || r.Refused != 8000 {
		t.Errorf("%+v", r)
	}
}
