import type { usePersistentUserChoices } from '@livekit/components-react';
import { type LucideIcon, Mic, MicOff, Video, VideoOff } from 'lucide-react';
import { useSyncExternalStore } from 'react';

import { initials } from '../lib/avatar';
import { MicLevel } from '../media/MicLevel';
import type { Preview } from '../media/preview';
import { TrackVideo } from '../media/TrackVideo';
import { PreviewProblems } from './PreviewProblems';

interface PreviewPaneProps {
  preview: Preview;
  saved: ReturnType<typeof usePersistentUserChoices>;
  name: string;
  withDevices: boolean;
}

/** A mirror with two switches: how the others will see and hear. */
export function PreviewPane({ preview, saved, name, withDevices }: PreviewPaneProps) {
  const microphone = useSyncExternalStore(preview.microphone.subscribe, preview.microphone.snapshot);
  const camera = useSyncExternalStore(preview.camera.subscribe, preview.camera.snapshot);
  const { audioDeviceId, videoDeviceId } = saved.userChoices;
  const microphoneOn = microphone.is === 'live' || microphone.is === 'asking';
  const cameraOn = camera.is === 'live' || camera.is === 'asking';

  const switchMicrophone = () => {
    saved.saveAudioInputEnabled(!microphoneOn);
    if (microphoneOn) preview.microphone.stop();
    else preview.startMicrophone(audioDeviceId);
  };
  const switchCamera = () => {
    saved.saveVideoInputEnabled(!cameraOn);
    if (cameraOn) preview.camera.stop();
    else preview.startCamera(videoDeviceId);
  };

  return (
    <div className="preview" data-devices={withDevices}>
      <div className="mirror" data-testid="preview" data-camera={camera.is} data-microphone={microphone.is}>
        {camera.is === 'live' ? (
          <TrackVideo track={camera.track} />
        ) : (
          <div className="mirror-off">
            <span className="avatar" aria-hidden="true">
              {initials(name)}
            </span>
            <span>{statusText(withDevices, camera.is === 'asking')}</span>
          </div>
        )}
        {withDevices && (
          <div className="mirror-controls">
            <Switch device="microphone" on={microphoneOn} icons={[Mic, MicOff]} onClick={switchMicrophone} />
            <Switch device="camera" on={cameraOn} icons={[Video, VideoOff]} onClick={switchCamera} />
          </div>
        )}
      </div>
      {withDevices && (
        <div className="mic-row">
          {microphone.is === 'live' ? <Mic aria-hidden="true" /> : <MicOff aria-hidden="true" />}
          <MicLevel track={microphone.is === 'live' ? microphone.track : undefined} />
        </div>
      )}
      <PreviewProblems
        microphone={microphone}
        camera={camera}
        onMicrophone={() => {
          preview.startMicrophone(audioDeviceId);
        }}
        onCamera={() => {
          preview.startCamera(videoDeviceId);
        }}
        onBoth={() => {
          preview.startBoth({ microphone: audioDeviceId, camera: videoDeviceId });
        }}
      />
    </div>
  );
}

interface SwitchProps {
  device: 'microphone' | 'camera';
  on: boolean;
  /** The icon of a device that is on, and that of a device that is off. */
  icons: [LucideIcon, LucideIcon];
  onClick: () => void;
}

function Switch({ device, on, icons, onClick }: SwitchProps) {
  const Icon = icons[on ? 0 : 1];
  return (
    <button
      type="button"
      className="control"
      data-testid={`preview-${device}`}
      aria-pressed={on}
      data-off={!on}
      aria-label={`Turn the ${device} ${on ? 'off' : 'on'}`}
      onClick={onClick}
    >
      <Icon aria-hidden="true" />
    </button>
  );
}

function statusText(withDevices: boolean, asking: boolean): string {
  if (!withDevices) return 'You join without camera and microphone';
  return asking ? 'Waiting for the camera: the browser may be asking you…' : 'Your camera is off';
}
