import { useEffect, useRef, useSyncExternalStore } from 'react';

import { isMessage } from '../lib/chat';
import { notSent, NOT_SENT } from '../texts/chatText';
import { useCall } from './callContext';
import type { Problems } from './useProblems';

/** Reports above the stage that this person's own message was not sent, unless the chat is open and shows it. */
export function useFailedMessages(open: boolean, { show, settle }: Problems): void {
  const { session, announcer } = useCall();
  const entries = useSyncExternalStore(session.chat.subscribe, session.chat.snapshot);
  const failed = entries.filter(isMessage).filter(({ delivery }) => delivery === 'failed');

  const told = useRef<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const fresh = failed.filter(({ id }) => !told.current.has(id));
    told.current = new Set(failed.map(({ id }) => id));
    if (open || failed.length === 0) settle('chat');
    else if (fresh.length > 0) show(NOT_SENT);
    if (open) for (const { text } of fresh) announcer.say(notSent(text));
  }, [failed, open, show, settle, announcer]);
}
