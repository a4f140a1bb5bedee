import { useCallback, useState } from 'react';

import type { Problem } from '../texts/problem';
import { useCall } from './callContext';

interface Problems {
  shown: Problem[];
  show: (problem: Problem) => void;
  dismiss: (problem: Problem) => void;
}

/** Messages above the stage, each until it is dismissed; a newer one of the same title takes the older one's place. */
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
  return { shown, show, dismiss };
}
