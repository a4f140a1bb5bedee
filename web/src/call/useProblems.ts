import { useCallback, useState } from 'react';

import type { Concern, Problem } from '../texts/problem';
import { useCall } from './callContext';

export interface Problems {
  shown: Problem[];
  show: (problem: Problem) => void;
  dismiss: (problem: Problem) => void;
  /** Takes away what is out of date. */
  settle: (concern: Concern) => void;
}

/** Messages above the stage, each until it is dismissed or out of date; a newer one of the same title takes the older one's place. */
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
