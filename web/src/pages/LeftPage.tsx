import { DoorOpen } from 'lucide-react';

import type { Hub } from '../hub/contract';
import type { Problem } from '../texts/problem';
import { MessagePage } from '../ui/MessagePage';

interface LeftPageProps {
  hub: Hub;
  room: string;
  problem: Problem;
  /** This person’s messages that may not have arrived. */
  unsent: string[];
  onRejoin: () => void;
}

/** After the call: why it ended, and a button to join again. */
export function LeftPage({ hub, room, problem, unsent, onRejoin }: LeftPageProps) {
  return (
    <MessagePage
      hubName={hub.name}
      problem={problem}
      testId="left"
      icon={<DoorOpen />}
      more={
        unsent.length > 0 && (
          <div className="unsent" data-testid="unsent">
            <p>What you wrote last may not have arrived:</p>
            <ul>
              {unsent.map((text, index) => (
                <li key={index}>{text}</li>
              ))}
            </ul>
          </div>
        )
      }
    >
      <button type="button" className="button primary" data-testid="rejoin" onClick={onRejoin}>
        Rejoin “{room}”
      </button>
      <a className="button" href="/" data-testid="to-start">
        To the start page
      </a>
    </MessagePage>
  );
}
