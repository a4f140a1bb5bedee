import { useConnectionState } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';
import { useState } from 'react';

/** Whether the connection is being made anew: livekit-client has emptied its lists, and nothing is known of anybody. */
export function useIsRestarting(): boolean {
  return useConnectionState() === ConnectionState.Reconnecting;
}

/**
 * A value that stays what it was while the connection is made anew; `unknown` for a part that appears meanwhile. Objects
 * must not be new at each rendering.
 */
export function useHeld<T>(value: T, unknown: T = value): T {
  const restarting = useIsRestarting();
  const [last, setLast] = useState({ value: restarting ? unknown : value });
  if (!restarting && last.value !== value) setLast({ value });
  return restarting ? last.value : value;
}
