import type { ToggleSource } from '@livekit/components-core';
import { useLocalParticipantPermissions, useRoomContext, useTrackToggle } from '@livekit/components-react';
import type { LocalTrack } from 'livekit-client';
import { Track, TrackEvent } from 'livekit-client';
import { useCallback, useSyncExternalStore } from 'react';

import { mayPublish } from '../lib/permissions';
import { useHeld, useIsRestarting } from './useHeld';

const SCREEN_OPTIONS = { selfBrowserSurface: 'include', surfaceSwitching: 'include' } as const;

interface Switch {
  on: boolean;
  /** The browser is opening or closing the device, or there is nothing to switch before the connection is back. */
  pending: boolean;
  toggle: () => void;
}

/** A device of this person as a switch. Errors go to `onError`. */
export function useSwitch(source: ToggleSource, onError: (error: Error) => void): Switch {
  const { localParticipant } = useRoomContext();
  // The sound of a shared tab is sent too, if the browser offers it. Where it may not be published, livekit-client would
  // stop the picture with it.
  const withSound = mayPublish(useLocalParticipantPermissions(), Track.Source.ScreenShareAudio);
  const { toggle, enabled, pending } = useTrackToggle<ToggleSource>({
    source,
    onDeviceError: onError,
    ...(source === Track.Source.ScreenShare ? { captureOptions: { ...SCREEN_OPTIONS, audio: withSound } } : {}),
  });
  const restarting = useIsRestarting();
  const wasOn = useHeld(enabled);
  const device = useHeld<Track | undefined>(localParticipant.getTrackPublication(source)?.track) as
    LocalTrack | undefined;
  const muted = useIsMuted(device);

  // During a reconnect the track is not published for a while, and livekit-client says that the device is off. The
  // device is on, and the person must be able to turn it off.
  if (restarting && source !== Track.Source.ScreenShare) {
    return {
      on: device !== undefined && !muted,
      pending: device === undefined,
      toggle: () => {
        if (device) (muted ? device.unmute() : device.mute()).catch(onError);
      },
    };
  }
  return {
    on: restarting ? wasOn : enabled,
    pending: pending || restarting,
    toggle: () => {
      if (!pending && !restarting) void toggle();
    },
  };
}

function useIsMuted(track: LocalTrack | undefined): boolean {
  const subscribe = useCallback(
    (listener: () => void) => {
      track?.on(TrackEvent.Muted, listener).on(TrackEvent.Unmuted, listener);
      return () => {
        track?.off(TrackEvent.Muted, listener).off(TrackEvent.Unmuted, listener);
      };
    },
    [track],
  );
  return useSyncExternalStore(subscribe, () => track?.isMuted ?? false);
}
