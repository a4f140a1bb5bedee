/** How far what is written in a call is private. */
export type ChatPrivacy = 'plain' | 'encrypted' | 'locked-out';

interface ChatText {
  /** Whom messages reach, and who else could read them. */
  audience: string;
  placeholder: string;
}

export const CHAT_TEXTS: Record<ChatPrivacy, ChatText> = {
  plain: {
    audience: 'Messages reach everyone who is here now. The hub could read them, and keeps none.',
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

export function undecryptable(names: string[]): string {
  return `What ${names.join(', ')} sent can’t be decrypted: your passphrases differ, or it was changed on the way.`;
}

/** What became of one's own message, where it is not simply sent. */
export function deliveryText(delivery: 'waiting' | 'failed', connected: boolean): string {
  if (delivery === 'failed') return 'Not sent.';
  return connected ? 'Being sent…' : 'Waits for the connection, and is sent then.';
}
