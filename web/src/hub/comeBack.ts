/** A hub that restarts is back within two seconds; one that is down for long is not worth much traffic. */
const FIRST_MS = 1_000;
const LONGEST_MS = 15_000;

export function delayMs(attempt: number): number {
  return Math.min(LONGEST_MS, FIRST_MS * 1.6 ** attempt);
}

/**
 * Calls back when it is time to ask again after `attempt` failures: after a while, or as soon as the network is there again
 * or the page is looked at. Call the returned function to give that up.
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
