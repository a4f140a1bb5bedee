import { useEffect, useRef, useState, useSyncExternalStore } from 'react';

import type { ChatMessage } from '../lib/chat';
import { isGap } from '../lib/chat';
import { useCall } from './callContext';

/** How many messages of others came while the chat was closed; each is announced, open or not. */
export function useUnread(open: boolean): number {
  const { session, announcer } = useCall();
  const entries = useSyncExternalStore(session.chat.subscribe, session.chat.snapshot);
  const received = entries.filter((entry): entry is ChatMessage => !isGap(entry) && !entry.from.mine);
  const [seen, setSeen] = useState(0);
  if (open && seen !== received.length) setSeen(received.length);

  const announced = useRef(0);
  useEffect(() => {
    for (const { from, text, plain } of received.slice(announced.current)) {
      announcer.say(`${from.name} writes${plain ? ', not encrypted' : ''}: ${text}`);
    }
    announced.current = received.length;
  }, [received, announcer]);
  return open ? 0 : received.length - seen;
}
