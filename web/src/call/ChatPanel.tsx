import { Lock, Send, TriangleAlert } from 'lucide-react';
import type { SubmitEvent } from 'react';
import { useEffect, useRef, useSyncExternalStore } from 'react';

import { isGap, isUnreadable } from '../lib/chat';
import type { ChatPrivacy } from '../texts/chatText';
import { CHAT_TEXTS, deliveryText, GAP, MAY_NOT_WRITE, undecryptable, unreadable as unreadableText } from '../texts/chatText';
import { useCall, useOthers } from './callContext';
import { follows, Message } from './ChatMessage';
import type { EncryptionState } from './encryptionContext';
import { useEncryption } from './encryptionContext';
import { SidePanel } from './SidePanel';

interface ChatPanelProps {
  /** The text being written; it outlives the panel. */
  draft: string;
  onDraft: (text: string) => void;
  mayWrite: boolean;
  onClose: () => void;
}

/** Messages of this call. They live as long as the page: the hub keeps none. */
export function ChatPanel({ draft, onDraft, mayWrite, onClose }: ChatPanelProps) {
  const { chat, roster } = useCall().session;
  const entries = useSyncExternalStore(chat.subscribe, chat.snapshot);
  const held = useSyncExternalStore(chat.subscribe, chat.held);
  useOthers();
  const missing = roster.missing().map(({ name }) => name);
  const encryption = useEncryption();
  const privacy = privacyOf(encryption);
  const unreadable = [...encryption.unreadable].map((identity) => roster.nameOf(identity));
  const log = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    input.current?.focus();
  }, []);
  useEffect(() => {
    log.current?.scrollTo({ top: log.current.scrollHeight });
  }, [entries.length]);

  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const trimmed = draft.trim();
    if (trimmed === '') return;
    // From here on the message is in the log, with its state.
    chat.write(trimmed);
    onDraft('');
  };

  return (
    <SidePanel title="Chat" testId="chat-panel" onClose={onClose}>
      {/* The call's one live region announces messages; here they can be read at any time, also by keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="chat-log" ref={log} role="log" aria-live="off" aria-label="Messages" tabIndex={0}>
        <p className={entries.length === 0 ? 'chat-empty' : 'chat-audience'} data-testid="audience" data-privacy={privacy}>
          {CHAT_TEXTS[privacy].audience}
        </p>
        <ul>
          {entries.map((entry, index) =>
            isGap(entry) ? (
              <li key={entry.id} className="chat-gap" data-testid="chat-gap">
                {GAP}
              </li>
            ) : isUnreadable(entry) ? (
              <li key={entry.id} className="message" data-testid="chat-unreadable">
                <p className="message-note warn">
                  <Lock aria-hidden="true" /> {unreadableText(entry.from.name, encryption.mine)}
                </p>
              </li>
            ) : (
              <Message
                key={`${entry.from.identity} ${entry.id}`}
                message={entry}
                follows={follows(entries[index - 1], entry)}
                way={entry.delivery === 'sent' ? undefined : deliveryText(entry.delivery, held, missing)}
                onRetry={() => {
                  chat.retry(entry.id);
                }}
              />
            ),
          )}
        </ul>
      </div>
      <div>
        {unreadable.length > 0 && (
          <p className="message-note warn" data-testid="undecryptable">
            <TriangleAlert aria-hidden="true" /> {undecryptable(unreadable)}
          </p>
        )}
      </div>
      <form onSubmit={submit}>
        <input
          ref={input}
          data-testid="chat-input"
          value={draft}
          aria-label="Message"
          placeholder={mayWrite ? CHAT_TEXTS[privacy].placeholder : MAY_NOT_WRITE}
          autoComplete="off"
          disabled={!mayWrite}
          onChange={(event) => {
            onDraft(event.target.value);
          }}
        />
        <button
          type="submit"
          className="button primary icon"
          data-testid="chat-send"
          aria-label="Send"
          disabled={!mayWrite || draft.trim() === ''}
        >
          <Send aria-hidden="true" />
        </button>
      </form>
    </SidePanel>
  );
}

function privacyOf({ mine, foreign }: EncryptionState): ChatPrivacy {
  if (mine) return 'encrypted';
  return foreign.size > 0 ? 'locked-out' : 'plain';
}
