import { StartAudio, useConnectionState } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';

import type { Problem } from '../texts/problem';
import { Notice } from '../ui/Notice';

interface InterruptionsProps {
  problems: Problem[];
  onDismiss: (problem: Problem) => void;
}

/** What a person must know at once: a lost connection, blocked sound, a device that failed. */
export function Interruptions({ problems, onDismiss }: InterruptionsProps) {
  const state = useConnectionState();
  return (
    <div className="interruptions">
      {state === ConnectionState.Reconnecting && (
        <p className="banner" data-testid="reconnecting" role="alert">
          <span className="spinner" aria-hidden="true" />
          The connection to the hub was lost. Reconnecting…
        </p>
      )}
      {state === ConnectionState.SignalReconnecting && (
        <p className="banner" data-testid="reconnecting" role="status">
          <span className="spinner" aria-hidden="true" />
          Reconnecting to the hub… Sound and picture may go on meanwhile.
        </p>
      )}
      <StartAudio className="button primary" label="Turn the sound on" data-testid="start-audio" />
      {problems.map((problem) => (
        <Notice
          key={problem.title}
          problem={problem}
          testId="call-problem"
          onClose={() => {
            onDismiss(problem);
          }}
        />
      ))}
    </div>
  );
}
