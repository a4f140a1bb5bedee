package sfu

import (
	"reflect"
	"sync"
	"unsafe" // also for go:linkname

	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/protocol/livekit"
	"go.uber.org/atomic"

	"lkhub/engine/internal/private"
)

// Upstream's own launch of jobs, which it does not export. A job that is launched otherwise is unknown to its room, and
// DeleteDispatch does not end it. If one is renamed, the engine does not link.
//
//go:linkname launchRoomAgents github.com/livekit/livekit-server/pkg/rtc.(*Room).launchRoomAgents
func launchRoomAgents(room *rtc.Room, dispatches []unsafe.Pointer)

//go:linkname launchTargetAgents github.com/livekit/livekit-server/pkg/rtc.(*Room).launchTargetAgents
func launchTargetAgents(room *rtc.Room, dispatches []unsafe.Pointer, participant types.Participant, kind livekit.JobType)

// dispatchOf is the room's own record of a dispatch, a pointer to an unexported type. It is not valid if there is none.
func dispatchOf(room *rtc.Room, id string) reflect.Value {
	lock := private.Field[sync.RWMutex](room, "lock")
	lock.RLock()
	defer lock.RUnlock()
	found := reflect.ValueOf(room).Elem().FieldByName("agentDispatches").MapIndex(reflect.ValueOf(id))
	if !found.IsValid() {
		return found
	}
	return reflect.NewAt(found.Type().Elem(), found.UnsafePointer()) // as a value whose fields may be read
}

// records are what upstream's launch takes.
func records(dispatch reflect.Value) []unsafe.Pointer {
	return []unsafe.Pointer{dispatch.UnsafePointer()}
}

// isLaunching tells whether a launch of this dispatch goes on, whoever began it. It ends when each worker that was asked
// has answered or was given up.
func isLaunching(dispatch reflect.Value) bool {
	owner := dispatch.Interface()
	lock := private.Field[sync.Mutex](owner, "lock")
	lock.Lock()
	defer lock.Unlock()
	return len(*private.Field[map[chan struct{}]struct{}](owner, "pending")) > 0
}

// hasSignal tells whether the participant's signalling connection is there. It ends at once when a process is killed,
// and the participant stays in its room for some 20 s.
func hasSignal(participant *rtc.ParticipantImpl) bool {
	return private.Field[atomic.Bool](participant.TransportManager, "signalSourceValid").Load()
}
