import { useCallback, useEffect, useState } from 'react';

import { whenWorthAsking } from './comeBack';

export type Answer<T> = { is: 'loading' } | { is: 'known'; value: T } | { is: 'failed'; error: unknown };

/** What the hub answers to `ask`, which is repeated while it fails; `retry` asks at once. */
export function useAnswer<T>(ask: () => Promise<T>): [Answer<T>, () => void] {
  const [answer, setAnswer] = useState<Answer<T>>({ is: 'loading' });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let current = true;
    let stop = (): void => undefined;
    ask().then(
      (value) => {
        if (current) setAnswer({ is: 'known', value });
      },
      (error: unknown) => {
        if (!current) return;
        setAnswer({ is: 'failed', error });
        stop = whenWorthAsking(attempt, () => {
          setAttempt((count) => count + 1);
        });
      },
    );
    return () => {
      current = false;
      stop();
    };
  }, [ask, attempt]);

  const retry = useCallback(() => {
    setAnswer({ is: 'loading' });
    setAttempt((count) => count + 1);
  }, []);
  return [answer, retry];
}
