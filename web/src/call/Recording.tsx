import { useIsRecording } from '@livekit/components-react';
import { Disc } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';

import { RECORDED, RECORDING_ENDED } from '../texts/callText';
import { Notice } from '../ui/Notice';
import { useCall } from './callContext';
import { useHeld } from './useHeld';

/** Stays for as long as a recording runs. */
export function RecordingBadge() {
  if (!useHeld(useIsRecording())) return null;
  return (
    <span className="badge recording" data-testid="recording" title={RECORDED.text}>
      <Disc aria-hidden="true" />
      <span>Recording</span>
    </span>
  );
}

/** Says in full that a recording has begun, until it is dismissed. */
export function RecordingNotice() {
  const { announcer } = useCall();
  const recording = useHeld(useIsRecording());
  const [dismissed, setDismissed] = useState(false);
  if (!recording && dismissed) setDismissed(false);

  const told = useRef(false);
  useEffect(() => {
    if (recording === told.current) return;
    announcer.say(recording ? `${RECORDED.title}. ${RECORDED.text}` : RECORDING_ENDED);
    told.current = recording;
  }, [recording, announcer]);

  if (!recording || dismissed) return null;
  return (
    <Notice
      problem={RECORDED}
      testId="recording-notice"
      quiet
      onClose={() => {
        setDismissed(true);
      }}
    />
  );
}
