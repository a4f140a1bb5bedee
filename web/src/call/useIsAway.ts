import type { Participant } from 'livekit-client';

import { useOthers } from './callContext';
import { useIsRestarting } from './useHeld';

/** Whether a participant is cut off for a moment, so that nothing is known of how they are now. */
export function useIsAway(participant: Participant): boolean {
  const others = useOthers();
  const restarting = useIsRestarting();
  return restarting || others.some(({ identity, away }) => away && identity === participant.identity);
}
