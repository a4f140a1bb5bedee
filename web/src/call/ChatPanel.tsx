import type { ReceivedChatMessage } from '@livekit/components-core';
import { formatChatMessageLinks } from '@livekit/components-react';
import { Send, X } from 'lucide-react';
import type { SubmitEvent } from 'react';
import { useEffect, useRef, useState } from 'react';

import { displayName } from '../lib/displayName';

interface ChatPanelProps {
  messages: ReceivedChatMessage[];
  send: (text: string) => Promise<unknown>;
  mayWrite: boolean;
  onClose: () => void;
}

/** Messages of this call. They live as long as the page: the hub keeps none. */
export function ChatPanel({ messages, send, mayWrite, onClose }: ChatPanelProps) {
  const [text, setText] = useState('');
  const [failed, setFailed] = useState(false);
  const log = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    input.current?.focus();
  }, []);
  useEffect(() => {
    log.current?.scrollTo({ top: log.current.scrollHeight });
  }, [messages.length]);

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const trimmed = text.trim();
    if (trimmed === '') return;
    setText('');
    try {
      await send(trimmed);
      setFailed(false);
    } catch {
      // Not lost: it goes back to where it was typed.
      setText(trimmed);
      setFailed(true);
    }
  };

  return (
    <aside className="chat" aria-label="Chat" data-testid="chat-panel">
      <header>
        <h2>Chat</h2>
        <button type="button" className="button icon" aria-label="Close the chat" title="Close (Esc)" onClick={onClose}>
          <X aria-hidden="true" />
        </button>
      </header>
      <div className="chat-log" ref={log} role="log" aria-live="polite" aria-label="Messages">
        {messages.length === 0 ? (
          <p className="chat-empty">Messages reach everyone who is here now. None is kept.</p>
        ) : (
          <ul>
            {messages.map((message, index) => (
              <Message key={message.id} message={message} follows={follows(messages[index - 1], message)} />
            ))}
          </ul>
        )}
      </div>
      {failed && (
        <p className="field-note error" role="alert">
          It was not sent: the connection is interrupted. Try again in a moment.
        </p>
      )}
      <form onSubmit={(event) => void submit(event)}>
        <input
          ref={input}
          data-testid="chat-input"
          value={text}
          aria-label="Message"
          placeholder={mayWrite ? 'Write to everyone' : 'You may not write here'}
          autoComplete="off"
          disabled={!mayWrite}
          onChange={(event) => {
            setText(event.target.value);
          }}
        />
        <button
          type="submit"
          className="button primary icon"
          data-testid="chat-send"
          aria-label="Send"
          disabled={!mayWrite || text.trim() === ''}
        >
          <Send aria-hidden="true" />
        </button>
      </form>
    </aside>
  );
}

function Message({ message, follows }: { message: ReceivedChatMessage; follows: boolean }) {
  const { from, timestamp } = message;
  const time = new Date(timestamp);
  return (
    <li className="message" data-testid="chat-message" data-mine={from?.isLocal === true} data-follows={follows}>
      {!follows && (
        <p className="message-head">
          <b>{from?.isLocal ? 'You' : displayName(from ?? {})}</b>
          <time dateTime={time.toISOString()}>{time.toLocaleTimeString(undefined, { timeStyle: 'short' })}</time>
        </p>
      )}
      <p className="message-body">{formatChatMessageLinks(message.message)}</p>
    </li>
  );
}

const ONE_BREATH_MS = 120_000;

/** Whether a message continues what the same person wrote just before. */
function follows(previous: ReceivedChatMessage | undefined, message: ReceivedChatMessage): boolean {
  return (
    previous?.from?.identity === message.from?.identity &&
    message.timestamp - (previous?.timestamp ?? 0) < ONE_BREATH_MS
  );
}
