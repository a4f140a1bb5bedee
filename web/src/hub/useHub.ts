import { useMemo } from 'react';

import { hubAwaited } from '../texts/hubProblem';
import type { Problem } from '../texts/problem';
import type { Hub } from './contract';
import { fetchHub } from './api';
import { useAnswer } from './useAnswer';

export type HubState = { is: 'loading' } | { is: 'known'; hub: Hub } | { is: 'unreachable'; problem: Problem };

/** Asks the hub about itself, and repeats that while the hub does not answer; `retry` asks at once. */
export function useHub(): [HubState, () => void] {
  const [answer, retry] = useAnswer(fetchHub);
  const state = useMemo((): HubState => {
    if (answer.is === 'loading') return answer;
    if (answer.is === 'known') return { is: 'known', hub: answer.value };
    return { is: 'unreachable', problem: hubAwaited(answer.error) };
  }, [answer]);
  return [state, retry];
}
