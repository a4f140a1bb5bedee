import { useEffect, useRef, useState, useSyncExternalStore } from 'react';

import type { ChatMessage, Unreadable } from '../lib/chat';
import { isGap, isUnreadable } from '../lib/chat';
import { unreadable } from '../texts/chatText';
import { useCall } from './callContext';

/**
 * The number of messages from others that arrived while the chat was closed. Every message is announced, whether or not
 * the chat is open.
 */
export function useUnread(open: boolean): number {
  const { session, announcer } = useCall();
  const entries = useSyncExternalStore(session.chat.subscribe, session.chat.snapshot);
  const received = entries.filter((entry): entry is ChatMessage | Unreadable => !isGap(entry) && !entry.from.mine);
  const mine = session.encryption !== undefined;
  const [seen, setSeen] = useState(0);
  if (open && seen !== received.length) setSeen(received.length);

  const announced = useRef(0);
  useEffect(() => {
    for (const entry of received.slice(announced.current)) {
      const { name } = entry.from;
      if (isUnreadable(entry)) announcer.say(unreadable(name, mine));
      else announcer.say(`${name} writes${entry.plain ? ', not encrypted' : ''}: ${entry.text}`);
    }
    announced.current = received.length;
  }, [received, announcer, mine]);
  return open ? 0 : received.length - seen;
}
