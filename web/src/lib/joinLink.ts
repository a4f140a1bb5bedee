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

/** Stores the token of a join link (`/join/ROOM#TOKEN`); the caller removes it from the address bar. */
export function keepToken(room: string, token: string, store: TokenStore): void {
  store.setItem(storageKey(room), token);
}

export function findToken(room: string, store: TokenStore): string | undefined {
  return store.getItem(storageKey(room)) ?? undefined;
}

export function forgetToken(room: string, store: TokenStore): void {
  store.removeItem(storageKey(room));
}

/** The token in an address's fragment, or undefined. */
export function tokenInFragment(hash: string): string | undefined {
  const token = hash.replace(/^#/, '').trim();
  return token === '' ? undefined : token;
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
