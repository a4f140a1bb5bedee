import { LogIn, LogOut } from 'lucide-react';
import { useEffect, useState } from 'react';

import { gatherComings } from '../lib/comings';
import type { Coming } from '../lib/roster';
import { comingVerb } from '../texts/callText';
import { listNames } from '../texts/listNames';
import { useCall } from './callContext';

/** Long enough to look up and read a name. */
const SHOWN_MS = 5_000;

/** Shows for a moment the people who came and left. */
export function Comings() {
  const { session, announcer } = useCall();
  const [shown, setShown] = useState<Coming[]>([]);

  useEffect(() => {
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const stop = session.roster.onComing((coming) => {
      announcer.say(`${coming.name} ${comingVerb(coming.came)}`);
      setShown((others) => [...others, coming]);
      const timer = setTimeout(() => {
        timers.delete(timer);
        setShown((others) => others.filter(({ key }) => key !== coming.key));
      }, SHOWN_MS);
      timers.add(timer);
    });
    return () => {
      stop();
      timers.forEach(clearTimeout);
    };
  }, [session, announcer]);

  return (
    <ul className="comings" data-testid="comings" aria-hidden="true">
      {gatherComings(shown).map(({ came, names }) => (
        <li key={String(came)}>
          {came ? <LogIn /> : <LogOut />}
          <span>{listNames(names)}</span> {comingVerb(came)}
        </li>
      ))}
    </ul>
  );
}
