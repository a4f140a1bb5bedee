package participant

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/pion/stun/v3"
)

func TestDiaryKeepsTheFirstErrorsOfICE(t *testing.T) {
	var d diary
	ice, other := d.NewLogger("ice"), d.NewLogger("dtls")
	refused := errors.New("connection refused")
	ice.Infof("Failed to dial %s: %v", "192.0.2.1:7881", refused)
	ice.Warnf("again: %v", refused)
	ice.Warnf("no error here, %d", 1)
	ice.Warnf("the end: %v %v", net.ErrClosed, io.EOF)
	ice.Warnf("failed to allocate: %s", &stun.TurnError{ErrorCodeAttr: stun.ErrorCodeAttribute{Code: stun.CodeAllocQuotaReached}})
	other.Warnf("%v", errors.New("other"))
	for _, text := range []string{"b", "c", "d"} {
		ice.Errorf("%v", errors.New(text))
	}
	read, refusal := d.read()
	if want := []string{"connection refused", "the participant's allocations are used up, or the server is about to stop (error 486)", "b"}; !slices.Equal(read, want) || refusal != stun.CodeAllocQuotaReached {
		t.Errorf("the diary reads %q and %d, want %q", read, refusal, want)
	}
}
