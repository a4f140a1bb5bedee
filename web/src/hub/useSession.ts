import { useCallback, useEffect, useState } from 'react';

import { explainRefusal, hubAwaited } from '../texts/hubProblem';
import type { Problem } from '../texts/problem';
import { ApiError, fetchSession } from './api';
import { whenWorthAsking } from './comeBack';

export type Session =
  | { is: 'loading' }
  | { is: 'known'; signedIn: boolean; name: string }
  | { is: 'unknown'; problem: Problem };

/** Asks the hub who is signed in, and repeats that while it can't say; `retry` asks at once. */
export function useSession(): [Session, () => void] {
  const [state, setState] = useState<Session>({ is: 'loading' });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let current = true;
    let stop = (): void => undefined;
    fetchSession().then(
      (session) => {
        if (current) setState({ is: 'known', signedIn: session.signed_in, name: session.name ?? '' });
      },
      (error: unknown) => {
        if (!current) return;
        setState({ is: 'unknown', problem: error instanceof ApiError ? explainRefusal(error) : hubAwaited(error) });
        stop = whenWorthAsking(attempt, () => {
          setAttempt((count) => count + 1);
        });
      },
    );
    return () => {
      current = false;
      stop();
    };
  }, [attempt]);

  const retry = useCallback(() => {
    setState({ is: 'loading' });
    setAttempt((count) => count + 1);
  }, []);
  return [state, retry];
}
