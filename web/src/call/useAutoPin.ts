import type { TrackReferenceOrPlaceholder } from '@livekit/components-core';
import { useLayoutContext } from '@livekit/components-react';
import { Track } from 'livekit-client';
import { useEffect, useRef } from 'react';

import { findPinned } from './stageTracks';

/** Pins another participant's new screen share by itself, once, and unpins a track that is gone. */
export function useAutoPin(
  tracks: TrackReferenceOrPlaceholder[],
  pinned: TrackReferenceOrPlaceholder | undefined,
): void {
  const dispatch = useLayoutContext().pin.dispatch;
  const shown = useRef(new Set<string>());

  useEffect(() => {
    const shares = tracks.filter((track) => track.source === Track.Source.ScreenShare && !track.participant.isLocal);
    const fresh = shares.find((share) => !shown.current.has(sid(share)));
    shown.current = new Set(shares.map(sid));
    if (fresh) {
      dispatch?.({ msg: 'set_pin', trackReference: fresh });
      return;
    }
    if (pinned && !findPinned(tracks, pinned)) dispatch?.({ msg: 'clear_pin' });
  }, [tracks, pinned, dispatch]);
}

function sid(track: TrackReferenceOrPlaceholder): string {
  return track.publication?.trackSid ?? '';
}
