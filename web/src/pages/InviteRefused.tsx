import { Link2Off } from 'lucide-react';

import type { Hub } from '../hub/contract';
import { forgetInvite } from '../lib/joinLink';
import { navigate, store } from '../lib/navigation';
import { joinPath } from '../lib/route';
import type { Problem } from '../texts/problem';
import { MessagePage } from '../ui/MessagePage';

interface InviteRefusedProps {
  hub: Hub;
  room: string;
  problem: Problem;
}

/** An invite that lets nobody in, and what else there is. */
export function InviteRefused({ hub, room, problem }: InviteRefusedProps) {
  const goOn = () => {
    forgetInvite(room, store);
    navigate(joinPath(room));
  };
  const without = hub.tokens === 'open' ? `Join “${room}” without it` : hub.sign_in ? 'Sign in instead' : undefined;
  return (
    <MessagePage hubName={hub.name} problem={problem} testId="invite-problem" icon={<Link2Off />}>
      {without !== undefined && (
        <button type="button" className="button primary" data-testid="without-invite" onClick={goOn}>
          {without}
        </button>
      )}
      <a className="button" href="/">
        To the start page
      </a>
    </MessagePage>
  );
}
