import { joinPath, readRoute } from './route';

/** The part of the Storage interface that is needed here. */
export interface TokenStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

// The session store belongs to one tab and ends with it: a reload of the call page finds its token there, another tab
// and a bookmark don't. The browser's history keeps the original link; a page can't prevent that.
const storageKey = (room: string) => `lkhub.join.${room}`;

const inviteKey = (room: string) => `lkhub.invite.${room}`;
const TAB_KEY = 'lkhub.tab';

/** Stores the token of a join link (`/join/ROOM#TOKEN`); the caller removes it from the address bar. */
export function keepToken(room: string, token: string, store: TokenStore): void {
  forgetInvite(room, store);
  store.setItem(storageKey(room), token);
}

/** Stores the secret of an invite (`/join/ROOM#i=SECRET`) in the same way. The newer one of two links counts. */
export function keepInvite(room: string, secret: string, store: TokenStore): void {
  forgetToken(room, store);
  store.setItem(inviteKey(room), secret);
}

export function findInvite(room: string, store: TokenStore): string | undefined {
  return store.getItem(inviteKey(room)) ?? undefined;
}

export function forgetInvite(room: string, store: TokenStore): void {
  store.removeItem(inviteKey(room));
}

/** What tells this tab from others, so that a reload is not another use of an invite. */
export function tabKey(store: TokenStore): string {
  const kept = store.getItem(TAB_KEY);
  if (kept !== null) return kept;
  const made = crypto.randomUUID();
  store.setItem(TAB_KEY, made);
  return made;
}

export function findToken(room: string, store: TokenStore): string | undefined {
  return store.getItem(storageKey(room)) ?? undefined;
}

export function forgetToken(room: string, store: TokenStore): void {
  store.removeItem(storageKey(room));
}

/** What a link has in its fragment, or undefined. */
export function readFragment(hash: string): { token: string } | { invite: string } | undefined {
  const text = hash.replace(/^#/, '').trim();
  if (text === '') return undefined;
  return text.startsWith('i=') ? { invite: text.slice(2) } : { token: text };
}

/**
 * The path for the text typed on the start page: that of a pasted join link with its fragment, or that of a room with
 * this name.
 */
export function destination(typed: string): string | undefined {
  const text = typed.trim();
  if (text === '') return undefined;
  const link = /^(?:https?:\/\/[^/]+)?(\/join\/[^/#?]+)\/?(?:\?[^#]*)?(#.*)?$/i.exec(text);
  if (link?.[1] && readRoute(link[1]).page === 'join') return link[1] + (link[2] ?? '');
  return joinPath(text);
}
