import { Link2Off } from 'lucide-react';
import type { ReactNode } from 'react';

import type { Hub } from '../hub/contract';
import type { Problem } from '../texts/problem';
import { MessagePage } from '../ui/MessagePage';
import { WithoutLink } from './WithoutLink';

interface RefusedProps {
  hub: Hub;
  room: string;
  problem: Problem;
  children?: ReactNode;
}

/** A join link that does not work, and what to do. */
export function Refused({ hub, room, problem, children }: RefusedProps) {
  return (
    <MessagePage hubName={hub.name} problem={problem} testId="link-problem" icon={<Link2Off />}>
      {children}
      <WithoutLink hub={hub} room={room} />
      <a className="button" href="/">
        To the start page
      </a>
    </MessagePage>
  );
}
