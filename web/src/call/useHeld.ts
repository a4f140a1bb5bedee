import { useConnectionState } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';
import { useState } from 'react';

/** Whether livekit-client is reconnecting: it has emptied its lists, and knows no participant. */
export function useIsRestarting(): boolean {
  return useConnectionState() === ConnectionState.Reconnecting;
}

/**
 * A value that stays the same during a reconnect; `unknown` for a component that appears meanwhile. Objects must not be
 * new at each rendering.
 */
export function useHeld<T>(value: T, unknown: T = value): T {
  const restarting = useIsRestarting();
  const [last, setLast] = useState({ value: restarting ? unknown : value });
  if (!restarting && last.value !== value) setLast({ value });
  return restarting ? last.value : value;
}
