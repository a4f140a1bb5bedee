import type { TokenStore } from './joinLink';

/** The tab's session storage, or a map if the browser forbids storage: then a reload needs the link again. */
export function tabStore(): TokenStore {
  try {
    const store = window.sessionStorage;
    const probe = 'lkhub.probe';
    store.setItem(probe, '');
    store.removeItem(probe);
    return store;
  } catch {
    return memoryStore();
  }
}

export function memoryStore(): TokenStore {
  const entries = new Map<string, string>();
  return {
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => void entries.set(key, value),
    removeItem: (key) => void entries.delete(key),
  };
}
