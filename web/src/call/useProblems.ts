import { useCallback, useState } from 'react';

import type { Concern, Problem } from '../texts/problem';
import { useCall } from './callContext';

export interface Problems {
  shown: Problem[];
  show: (problem: Problem) => void;
  dismiss: (problem: Problem) => void;
  /** Removes outdated messages. */
  settle: (concern: Concern) => void;
}

/**
 * Messages above the stage, each until it is dismissed or outdated; a newer message replaces an older one with the same
 * title.
 */
export function useProblems(): Problems {
  const { announcer } = useCall();
  const [shown, setShown] = useState<Problem[]>([]);
  const show = useCallback(
    (problem: Problem) => {
      announcer.say(`${problem.title}. ${problem.text}`);
      setShown((others) => [...others.filter((other) => other.title !== problem.title), problem]);
    },
    [announcer],
  );
  const dismiss = useCallback((problem: Problem) => {
    setShown((others) => others.filter((other) => other !== problem));
  }, []);
  const settle = useCallback((concern: Concern) => {
    const isOver = ({ about }: Problem) => about === concern;
    setShown((others) => (others.some(isOver) ? others.filter((other) => !isOver(other)) : others));
  }, []);
  return { shown, show, dismiss, settle };
}
