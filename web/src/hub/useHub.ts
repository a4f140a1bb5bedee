import { useCallback, useEffect, useState } from 'react';

import { hubAwaited } from '../texts/hubProblem';
import type { Problem } from '../texts/problem';
import type { Hub } from './contract';
import { fetchHub } from './api';
import { whenWorthAsking } from './comeBack';

export type HubState = { is: 'loading' } | { is: 'known'; hub: Hub } | { is: 'unreachable'; problem: Problem };

/** Asks the hub about itself, and repeats that while the hub does not answer; `retry` asks at once. */
export function useHub(): [HubState, () => void] {
  const [state, setState] = useState<HubState>({ is: 'loading' });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let current = true;
    let stop = (): void => undefined;
    fetchHub().then(
      (hub) => {
        if (current) setState({ is: 'known', hub });
      },
      (error: unknown) => {
        if (!current) return;
        setState({ is: 'unreachable', problem: hubAwaited(error) });
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
