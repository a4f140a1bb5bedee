import { useCallback, useEffect, useState } from 'react';

import { hubUnreachable } from '../texts/hubProblem';
import type { Problem } from '../texts/problem';
import type { Hub } from './api';
import { fetchHub } from './api';

export type HubState = { is: 'loading' } | { is: 'known'; hub: Hub } | { is: 'unreachable'; problem: Problem };

/** Asks the hub about itself once, and again on `retry`. */
export function useHub(): [HubState, () => void] {
  const [state, setState] = useState<HubState>({ is: 'loading' });
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let current = true;
    fetchHub().then(
      (hub) => {
        if (current) setState({ is: 'known', hub });
      },
      (error: unknown) => {
        if (current) setState({ is: 'unreachable', problem: hubUnreachable(error) });
      },
    );
    return () => {
      current = false;
    };
  }, [attempt]);

  const retry = useCallback(() => {
    setState({ is: 'loading' });
    setAttempt((count) => count + 1);
  }, []);
  return [state, retry];
}
