import type { ChatHold } from '../lib/chat';
import { ALL_COME_BACK_MS } from '../lib/roster';
import { listNames } from './listNames';
import type { Problem } from './problem';

/** How private the chat of a call is. */
export type ChatPrivacy = 'plain' | 'encrypted' | 'locked-out';

interface ChatText {
  /** Who receives messages, and who else could read them. */
  audience: string;
  placeholder: string;
}

export const CHAT_TEXTS: Record<ChatPrivacy, ChatText> = {
  plain: {
    // Also true if others encrypt: that is unknown until they send something.
    audience:
      'What you write is not end-to-end encrypted. It reaches everyone who is here now; the hub could read it, and keeps ' +
      'none. What others encrypt does not reach you.',
    placeholder: 'Write to everyone',
  },
  encrypted: {
    audience: 'Messages are encrypted: they reach those who are here now and have the passphrase. None is kept.',
    placeholder: 'Write, encrypted',
  },
  'locked-out': {
    audience:
      'Others here use end-to-end encryption, and you have no passphrase: you can’t read what they write, and what you ' +
      'write is not encrypted.',
    placeholder: 'Write without encryption',
  },
};

export const MAY_NOT_WRITE = 'You may not write here';

export const PLAIN_MESSAGE = 'Not encrypted: the hub can read it, and anyone who controls the hub could have written it.';

export const GAP = 'You were disconnected for a moment. What others wrote meanwhile did not reach you.';

export const NOT_SENT: Problem = {
  title: 'A message was not sent',
  text: 'Open the chat to send it again.',
  about: 'chat',
};

/** The same where the chat is open, for those who hear it. */
export function notSent(text: string): string {
  return `Not sent: ${text}`;
}

/** The text in place of data that could not be decrypted. `encrypts`: whether this person has a passphrase. */
export function unreadable(name: string, encrypts: boolean): string {
  return encrypts
    ? `Something that ${name} sent could not be read: your passphrases differ, or it was changed on the way.`
    : `Something that ${name} sent could not be read: it is encrypted, and you have no passphrase.`;
}

export function undecryptable(names: string[]): string {
  return `What ${listNames(names)} sent can’t be decrypted: your passphrases differ, or it was changed on the way.`;
}

/**
 * The state of this person's own message, unless it was simply sent. `missing`: names of people who are not back yet.
 */
export function deliveryText(delivery: 'waiting' | 'failed', hold: ChatHold | undefined, missing: string[]): string {
  if (delivery === 'failed') return 'Not sent.';
  if (hold === 'connection') return 'Waits for the connection, and is sent then.';
  if (hold === undefined || missing.length === 0) return 'Being sent…';
  return `Waits for ${listNames(missing)} to be connected again, ${ALL_COME_BACK_MS / 1000} seconds at most, and is sent then.`;
}
