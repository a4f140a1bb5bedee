import type { ToggleSource } from '@livekit/components-core';
import { useTrackToggle } from '@livekit/components-react';
import { Track } from 'livekit-client';

// Sound of a shared tab goes along where the browser offers it.
const SCREEN_OPTIONS = { audio: true, selfBrowserSurface: 'include', surfaceSwitching: 'include' } as const;

interface Switch {
  on: boolean;
  /** The browser is opening or closing the device. */
  pending: boolean;
  toggle: () => void;
}

/** A device of this person as a switch. What goes wrong goes to `onError`. */
export function useSwitch(source: ToggleSource, onError: (error: Error) => void): Switch {
  const { toggle, enabled, pending } = useTrackToggle<ToggleSource>({
    source,
    onDeviceError: onError,
    ...(source === Track.Source.ScreenShare ? { captureOptions: SCREEN_OPTIONS } : {}),
  });
  return {
    on: enabled,
    pending,
    toggle: () => {
      if (!pending) void toggle();
    },
  };
}
