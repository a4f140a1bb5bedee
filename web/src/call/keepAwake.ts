/** The part of the browser that is needed here. */
export interface Screen {
  document: Pick<Document, 'visibilityState' | 'addEventListener' | 'removeEventListener'>;
  /** Missing in older browsers, and on pages without TLS. */
  wakeLock: Pick<WakeLock, 'request'> | undefined;
}

/**
 * Keeps the screen on until the returned function is called. The system releases the lock when the page is hidden; it
 * is requested again when the page is visible.
 */
export function keepAwake({ document, wakeLock }: Screen): () => void {
  if (!wakeLock) return () => undefined;
  let lock: Pick<WakeLockSentinel, 'release'> | undefined;
  let over = false;
  const ask = async () => {
    if (document.visibilityState !== 'visible') return;
    try {
      const given = await wakeLock.request('screen');
      if (over) await given.release();
      else lock = given;
    } catch {
      // Refused, for example to save power: the screen turns off as usual.
    }
  };
  const onChange = () => void ask();
  document.addEventListener('visibilitychange', onChange);
  void ask();
  return () => {
    over = true;
    document.removeEventListener('visibilitychange', onChange);
    void lock?.release();
  };
}
