import type { usePersistentUserChoices } from '@livekit/components-react';
import type { LocalAudioTrack, LocalVideoTrack } from 'livekit-client';
import { Volume2 } from 'lucide-react';
import { useSyncExternalStore } from 'react';

import { DeviceSelect } from '../media/DeviceSelect';
import type { Preview } from '../media/preview';
import type { PreviewState } from '../media/previewTrack';
import { canChooseSpeaker, playChime } from '../media/speaker';
import { useDevices } from '../media/useDevices';

interface DeviceFieldsProps {
  preview: Preview;
  saved: ReturnType<typeof usePersistentUserChoices>;
  withDevices: boolean;
  speaker: string;
  onSpeaker: (deviceId: string) => void;
}

/** The choice of microphone, camera and speaker. */
export function DeviceFields({ preview, saved, withDevices, speaker, onSpeaker }: DeviceFieldsProps) {
  const microphone = useSyncExternalStore(preview.microphone.subscribe, preview.microphone.snapshot);
  const camera = useSyncExternalStore(preview.camera.subscribe, preview.camera.snapshot);
  const known = `${microphone.is} ${camera.is}`;
  const microphones = useDevices('audioinput', known);
  const cameras = useDevices('videoinput', known);
  const speakers = useDevices('audiooutput', known);

  return (
    <div className="device-fields">
      {withDevices && (
        <>
          <DeviceSelect
            label="Microphone"
            testId="select-microphone"
            devices={microphones}
            value={inUse(microphone) ?? saved.userChoices.audioDeviceId}
            onChange={(deviceId) => {
              saved.saveAudioInputDeviceId(deviceId);
              saved.saveAudioInputEnabled(true);
              preview.startMicrophone(deviceId);
            }}
          />
          <DeviceSelect
            label="Camera"
            testId="select-camera"
            devices={cameras}
            value={inUse(camera) ?? saved.userChoices.videoDeviceId}
            onChange={(deviceId) => {
              saved.saveVideoInputDeviceId(deviceId);
              saved.saveVideoInputEnabled(true);
              preview.startCamera(deviceId);
            }}
          />
        </>
      )}
      <div className="speaker-row">
        {canChooseSpeaker() && speakers.length > 0 && (
          <DeviceSelect
            label="Speaker"
            testId="select-speaker"
            devices={speakers}
            value={speaker}
            onChange={onSpeaker}
          />
        )}
        <button
          type="button"
          className="button"
          data-testid="test-speaker"
          onClick={() => {
            // A speaker that was unplugged meanwhile: the list follows by itself.
            playChime(speaker).catch(() => undefined);
          }}
        >
          <Volume2 aria-hidden="true" /> Test sound
        </button>
      </div>
    </div>
  );
}

/** The device that the browser really opened, which may differ from the requested one. */
function inUse(state: PreviewState<LocalAudioTrack | LocalVideoTrack>): string | undefined {
  return state.is === 'live' ? state.track.mediaStreamTrack.getSettings().deviceId : undefined;
}
