import { StartAudio, useConnectionState } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';
import { useEffect, useRef } from 'react';

import { BACK, LOST, LOST_DETAIL, RESUMING } from '../texts/callText';
import type { Problem } from '../texts/problem';
import { Notice } from '../ui/Notice';
import { useCall, useIsCutOff } from './callContext';
import { RecordingNotice } from './Recording';

interface InterruptionsProps {
  problems: Problem[];
  onDismiss: (problem: Problem) => void;
}

/** Messages that a person must see at once: a lost connection, a recording, blocked sound, a device that failed. */
export function Interruptions({ problems, onDismiss }: InterruptionsProps) {
  const { announcer } = useCall();
  const state = useConnectionState();
  const cutOff = useIsCutOff();
  const text = cutOff ? LOST : state === ConnectionState.SignalReconnecting ? RESUMING : undefined;
  const told = useRef<string>(undefined);
  useEffect(() => {
    if (text === told.current) return;
    announcer.say(text ?? BACK);
    told.current = text;
  }, [text, announcer]);

  return (
    <section className="interruptions" aria-label="Notices">
      {text && (
        <p className="banner" data-testid="reconnecting" data-state={state}>
          <span className="spinner" aria-hidden="true" />
          <span>
            {text} {cutOff && LOST_DETAIL}
          </span>
        </p>
      )}
      <RecordingNotice />
      <StartAudio className="button primary" label="Turn the sound on" data-testid="start-audio" />
      {problems.map((problem) => (
        <Notice
          key={problem.title}
          problem={problem}
          testId="call-problem"
          quiet
          onClose={() => {
            onDismiss(problem);
          }}
        />
      ))}
    </section>
  );
}
