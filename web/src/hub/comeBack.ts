/** A hub that restarts is back within two seconds; a hub that is down for long should not cause much traffic. */
const FIRST_MS = 1_000;
const LONGEST_MS = 15_000;

export function delayMs(attempt: number): number {
  return Math.min(LONGEST_MS, FIRST_MS * 1.6 ** attempt);
}

/**
 * Calls `ask` when it is time to ask again after `attempt` failures: after a while, or as soon as the network is back
 * or the page becomes visible. The returned function cancels this.
 */
export function whenWorthAsking(attempt: number, ask: () => void): () => void {
  const now = () => {
    if (document.visibilityState !== 'visible') return;
    stop();
    ask();
  };
  const timer = setTimeout(() => {
    stop();
    ask();
  }, delayMs(attempt));
  const stop = () => {
    clearTimeout(timer);
    window.removeEventListener('online', now);
    document.removeEventListener('visibilitychange', now);
  };
  window.addEventListener('online', now);
  document.addEventListener('visibilitychange', now);
  return stop;
}
