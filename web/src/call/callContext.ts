import { createContext, useContext, useSyncExternalStore } from 'react';

import type { Hub } from '../hub/contract';
import type { Announcer } from '../lib/announcer';
import type { Other } from './roomRoster';
import type { CallSession } from './session';

/** The state that the parts of a call share. */
export interface CallValue {
  session: CallSession;
  hub: Hub;
  announcer: Announcer;
}

export const CallContext = createContext<CallValue | undefined>(undefined);

export function useCall(): CallValue {
  const call = useContext(CallContext);
  if (!call) throw new Error('useCall outside of a call');
  return call;
}

/** Whether it is known that no media of the others arrives at present. */
export function useIsCutOff(): boolean {
  const { arrival } = useCall().session;
  return useSyncExternalStore(arrival.subscribe, arrival.snapshot);
}

/** All other participants, also those who are away for a moment. */
export function useOthers(): Other[] {
  const { roster } = useCall().session;
  return useSyncExternalStore(roster.subscribe, roster.snapshot);
}
