import { useSyncExternalStore } from 'react';

import { keepToken, tokenInFragment } from './joinLink';
import { Listeners } from './listeners';
import type { Route } from './route';
import { readRoute } from './route';
import { tabStore } from './store';

export interface Place {
  route: Route;
  /** Grows with every arrival, also at the same address: a second join link to one room is a new visit. */
  visit: number;
}

export const store = tabStore();

let place = arrive(0);
const listeners = new Listeners();

/** Reads the address, and removes a join token from it before other code can read it there. */
function arrive(visit: number): Place {
  const route = readRoute(location.pathname);
  const token = tokenInFragment(location.hash);
  if (route.page === 'join' && token) {
    keepToken(route.room, token, store);
    history.replaceState(history.state, '', location.pathname + location.search);
  }
  return { route, visit };
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
