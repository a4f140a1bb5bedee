import { useMemo } from 'react';

import { explainRefusal, hubAwaited } from '../texts/hubProblem';
import type { Problem } from '../texts/problem';
import { ApiError, fetchSession } from './api';
import { useAnswer } from './useAnswer';

export type Session =
  | { is: 'loading' }
  | { is: 'known'; signedIn: boolean; name: string }
  | { is: 'unknown'; problem: Problem };

/** Asks the hub who is signed in, and repeats that while it can't say; `retry` asks at once. */
export function useSession(): [Session, () => void] {
  const [answer, retry] = useAnswer(fetchSession);
  const session = useMemo((): Session => {
    if (answer.is === 'loading') return answer;
    if (answer.is === 'known') {
      return { is: 'known', signedIn: answer.value.signed_in, name: answer.value.name ?? '' };
    }
    const { error } = answer;
    return { is: 'unknown', problem: error instanceof ApiError ? explainRefusal(error) : hubAwaited(error) };
  }, [answer]);
  return [session, retry];
}
