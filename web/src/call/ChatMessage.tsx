import { formatChatMessageLinks } from '@livekit/components-react';
import { Clock, LockOpen, RotateCcw } from 'lucide-react';

import type { ChatEntry, ChatMessage } from '../lib/chat';
import { isMessage } from '../lib/chat';
import { PLAIN_MESSAGE } from '../texts/chatText';

interface MessageProps {
  message: ChatMessage;
  /** The same person wrote the message just before. */
  follows: boolean;
  /** The message's state, unless it was simply sent. */
  way: string | undefined;
  onRetry: () => void;
}

/** One message, with its delivery state and its encryption. */
export function Message({ message, follows, way, onRetry }: MessageProps) {
  const { from, text, delivery, plain } = message;
  const time = new Date(message.at);
  return (
    <li
      className="message"
      data-testid="chat-message"
      data-mine={from.mine}
      data-follows={follows}
      data-delivery={delivery}
      data-plain={plain}
    >
      {!follows && (
        <p className="message-head">
          <b>{from.mine ? 'You' : from.name}</b>
          <time dateTime={time.toISOString()}>{time.toLocaleTimeString(undefined, { timeStyle: 'short' })}</time>
        </p>
      )}
      <p className="message-body">{formatChatMessageLinks(text)}</p>
      {plain && (
        <p className="message-note warn" data-testid="plain-message">
          <LockOpen aria-hidden="true" /> {PLAIN_MESSAGE}
        </p>
      )}
      {way !== undefined && (
        <p className="message-note" data-testid="delivery" data-failed={delivery === 'failed'}>
          {delivery === 'waiting' && <Clock aria-hidden="true" />}
          {way}
          {delivery === 'failed' && (
            <button type="button" className="button small" data-testid="chat-retry" onClick={onRetry}>
              <RotateCcw aria-hidden="true" /> Send again
            </button>
          )}
        </p>
      )}
    </li>
  );
}

const ONE_BREATH_MS = 120_000;

export function follows(previous: ChatEntry | undefined, message: ChatMessage): boolean {
  return (
    previous !== undefined &&
    isMessage(previous) &&
    previous.from.identity === message.from.identity &&
    previous.plain === message.plain &&
    message.at - previous.at < ONE_BREATH_MS
  );
}
