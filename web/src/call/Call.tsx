import {
  LayoutContextProvider,
  RoomAudioRenderer,
  RoomContext,
  useCreateLayoutContext,
} from '@livekit/components-react';
import type { DisconnectReason } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';
import { useEffect, useMemo } from 'react';

import type { Hub } from '../hub/contract';
import { Announcer } from '../lib/announcer';
import { CallContext } from './callContext';
import { CallView } from './CallView';
import { keepAwake } from './keepAwake';
import type { CallSession } from './session';

interface CallProps {
  session: CallSession;
  hub: Hub;
  onLeft: (reason: DisconnectReason | undefined) => void;
}

/** The call, with the context that all of its parts share. */
export default function Call({ session, hub, onLeft }: CallProps) {
  const { room } = session;
  const layout = useCreateLayoutContext();
  const call = useMemo(() => ({ session, hub, announcer: new Announcer() }), [session, hub]);

  useEffect(() => {
    // The call may have ended while this page was being drawn.
    if (room.state === ConnectionState.Disconnected) onLeft(undefined);
    room.on(RoomEvent.Disconnected, onLeft);
    return () => {
      room.off(RoomEvent.Disconnected, onLeft);
    };
  }, [room, onLeft]);

  // Typed as always present, missing in older browsers and without TLS.
  useEffect(() => keepAwake({ document, wakeLock: navigator.wakeLock }), []);

  return (
    <CallContext.Provider value={call}>
      <RoomContext.Provider value={room}>
        <LayoutContextProvider value={layout}>
          <CallView />
          <RoomAudioRenderer />
        </LayoutContextProvider>
      </RoomContext.Provider>
    </CallContext.Provider>
  );
}
