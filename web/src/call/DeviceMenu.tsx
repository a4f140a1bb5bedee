import { loadUserChoices, saveUserChoices } from '@livekit/components-core';
import { useLocalParticipant, useMediaDeviceSelect } from '@livekit/components-react';
import { LocalAudioTrack } from 'livekit-client';
import { Settings2 } from 'lucide-react';
import { useSyncExternalStore } from 'react';

import { DeviceSelect } from '../media/DeviceSelect';
import { MicLevel } from '../media/MicLevel';
import { canChooseSpeaker, saveSpeaker } from '../media/speaker';
import type { DeviceKind } from '../texts/mediaProblem';
import { explainMedia } from '../texts/mediaProblem';
import type { Problem } from '../texts/problem';
import { messageOf } from '../texts/problem';
import { Popover } from '../ui/Popover';
import { useCall } from './callContext';

interface DeviceMenuProps {
  canPublish: boolean;
  onProblem: (problem: Problem) => void;
}

/** Microphone, camera and speaker during the call. */
export function DeviceMenu({ canPublish, onProblem }: DeviceMenuProps) {
  const { microphoneTrack } = useLocalParticipant();
  // Without TLS the browser lists no devices.
  if (!window.isSecureContext) return null;
  const track = microphoneTrack?.track;
  return (
    <Popover
      label="Devices"
      side="above"
      buttonClass="control"
      buttonTitle="Choose devices"
      testId="devices"
      button={
        <>
          <span className="control-icon" aria-hidden="true">
            <Settings2 />
          </span>
          <span className="control-label">Devices</span>
        </>
      }
    >
      <h2>Devices</h2>
      {canPublish && (
        <>
          <DevicePicker kind="audioinput" onProblem={onProblem} />
          <MicLevel track={track instanceof LocalAudioTrack ? track : undefined} />
          <DevicePicker kind="videoinput" onProblem={onProblem} />
          <LowPowerSwitch />
        </>
      )}
      {canChooseSpeaker() && <DevicePicker kind="audiooutput" onProblem={onProblem} />}
    </Popover>
  );
}

/** Sends this person's picture small, for a device that gets hot or slow. */
function LowPowerSwitch() {
  const { lowPower } = useCall().session;
  const on = useSyncExternalStore(lowPower.subscribe, lowPower.snapshot);
  return (
    <label className="check">
      <input
        type="checkbox"
        data-testid="low-power"
        checked={on}
        onChange={(event) => void lowPower.choose(event.target.checked)}
      />
      <span>
        Low-power mode
        <small>Sends your picture smaller, 15 times a second.</small>
      </span>
    </label>
  );
}

const LABELS: Record<MediaDeviceKind, string> = {
  audioinput: 'Microphone',
  videoinput: 'Camera',
  audiooutput: 'Speaker',
};

function DevicePicker({ kind, onProblem }: { kind: MediaDeviceKind; onProblem: (problem: Problem) => void }) {
  const { devices, activeDeviceId, setActiveMediaDevice } = useMediaDeviceSelect({ kind, requestPermissions: false });
  const choose = async (deviceId: string) => {
    try {
      await setActiveMediaDevice(deviceId);
      remember(kind, deviceId);
    } catch (error) {
      onProblem(explain(kind, error));
    }
  };
  return (
    <DeviceSelect
      label={LABELS[kind]}
      testId={`call-select-${LABELS[kind].toLowerCase()}`}
      devices={devices.filter((device) => device.deviceId !== '')}
      value={activeDeviceId}
      onChange={(deviceId) => void choose(deviceId)}
    />
  );
}

/** The next pre-join starts with the same devices. */
function remember(kind: MediaDeviceKind, deviceId: string): void {
  if (kind === 'audiooutput') saveSpeaker(deviceId);
  else saveUserChoices({ ...loadUserChoices(), [kind === 'audioinput' ? 'audioDeviceId' : 'videoDeviceId']: deviceId });
}

function explain(kind: MediaDeviceKind, error: unknown): Problem {
  if (kind === 'audiooutput') {
    return { title: 'The speaker did not change', text: 'Choose another one.', detail: messageOf(error), about: 'speaker' };
  }
  const device: DeviceKind = kind === 'audioinput' ? 'microphone' : 'camera';
  return explainMedia(device, error);
}
