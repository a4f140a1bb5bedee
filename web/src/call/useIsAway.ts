import type { Participant } from 'livekit-client';

import { useIsCutOff, useOthers } from './callContext';

/** Whether a participant's connection is interrupted, so that their current state is unknown. */
export function useIsAway(participant: Participant): boolean {
  const others = useOthers();
  const cutOff = useIsCutOff();
  return cutOff || others.some(({ identity, away }) => away && identity === participant.identity);
}
