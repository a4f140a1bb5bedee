import { DoorOpen } from 'lucide-react';

import type { Hub } from '../hub/api';
import type { Problem } from '../texts/problem';
import { MessagePage } from '../ui/MessagePage';

interface LeftPageProps {
  hub: Hub;
  room: string;
  problem: Problem;
  onRejoin: () => void;
}

/** After the call: why it ended, and the way back. */
export function LeftPage({ hub, room, problem, onRejoin }: LeftPageProps) {
  return (
    <MessagePage hubName={hub.name} problem={problem} testId="left" icon={<DoorOpen />}>
      <button type="button" className="button primary" data-testid="rejoin" onClick={onRejoin}>
        Rejoin “{room}”
      </button>
      <a className="button" href="/" data-testid="to-start">
        To the start page
      </a>
    </MessagePage>
  );
}
