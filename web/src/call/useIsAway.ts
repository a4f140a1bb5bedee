import type { Participant } from 'livekit-client';

import { useIsCutOff, useOthers } from './callContext';

/** Whether a participant is cut off for a moment, so that nothing is known of how they are now. */
export function useIsAway(participant: Participant): boolean {
  const others = useOthers();
  const cutOff = useIsCutOff();
  return cutOff || others.some(({ identity, away }) => away && identity === participant.identity);
}
