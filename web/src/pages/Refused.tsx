import { Link2Off } from 'lucide-react';
import type { ReactNode } from 'react';

import type { Hub } from '../hub/contract';
import { findToken, forgetToken } from '../lib/joinLink';
import { navigate, store } from '../lib/navigation';
import { joinPath } from '../lib/route';
import type { Problem } from '../texts/problem';
import { MessagePage } from '../ui/MessagePage';

interface RefusedProps {
  hub: Hub;
  room: string;
  problem: Problem;
  children?: ReactNode;
}

/** A join link that does not work, and what to do. */
export function Refused({ hub, room, problem, children }: RefusedProps) {
  const joinWithout = () => {
    forgetToken(room, store);
    navigate(joinPath(room));
  };
  return (
    <MessagePage hubName={hub.name} problem={problem} testId="link-problem" icon={<Link2Off />}>
      {children}
      {hub.tokens === 'open' && findToken(room, store) !== undefined && (
        <button type="button" className="button" data-testid="join-without-link" onClick={joinWithout}>
          Join “{room}” without the link
        </button>
      )}
      <a className="button" href="/">
        To the start page
      </a>
    </MessagePage>
  );
}
