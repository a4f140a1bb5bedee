import { useSyncExternalStore } from 'react';

import { keepInvite, keepToken, readFragment } from './joinLink';
import { Listeners } from './listeners';
import type { Route } from './route';
import { readRoute } from './route';
import { tabStore } from './store';

export interface Place {
  route: Route;
  /** Grows with every arrival, also at the same address: a second join link to one room is a new visit. */
  visit: number;
  /** Why signing in failed, as the hub writes it into the address of the page to which it leads back. */
  signInProblem: string | undefined;
}

export const store = tabStore();

let place = arrive(0);
const listeners = new Listeners();

/** Reads the address, and removes a join token or an invite from it before other code can read it there. */
function arrive(visit: number): Place {
  const route = readRoute(location.pathname);
  if (route.page !== 'join') return { route, visit, signInProblem: undefined };
  const found = readFragment(location.hash);
  if (found && 'token' in found) keepToken(route.room, found.token, store);
  else if (found) keepInvite(route.room, found.invite, store);
  const signInProblem = new URLSearchParams(location.search).get('sign-in') ?? undefined;
  if (found || signInProblem !== undefined) history.replaceState(history.state, '', location.pathname);
  return { route, visit, signInProblem };
}

function changed(): void {
  place = arrive(place.visit + 1);
  listeners.tell();
}

window.addEventListener('popstate', changed);
// A join link was pasted into the address bar of its own page. Removing the token fires no event, so this does not
// loop.
window.addEventListener('hashchange', () => {
  if (location.hash !== '') changed();
});

/** Goes to another page of this hub; `path` may carry a join token. */
export function navigate(path: string): void {
  history.pushState(null, '', path);
  changed();
}

export function usePlace(): Place {
  return useSyncExternalStore(listeners.add, () => place);
}
