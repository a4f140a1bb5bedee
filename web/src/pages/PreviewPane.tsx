import type { usePersistentUserChoices } from '@livekit/components-react';
import { Mic, MicOff, Video, VideoOff } from 'lucide-react';
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
            <button
              type="button"
              className="control"
              data-testid="preview-microphone"
              aria-pressed={microphoneOn}
              data-off={!microphoneOn}
              aria-label={microphoneOn ? 'Turn the microphone off' : 'Turn the microphone on'}
              onClick={switchMicrophone}
            >
              {microphoneOn ? <Mic aria-hidden="true" /> : <MicOff aria-hidden="true" />}
            </button>
            <button
              type="button"
              className="control"
              data-testid="preview-camera"
              aria-pressed={cameraOn}
              data-off={!cameraOn}
              aria-label={cameraOn ? 'Turn the camera off' : 'Turn the camera on'}
              onClick={switchCamera}
            >
              {cameraOn ? <Video aria-hidden="true" /> : <VideoOff aria-hidden="true" />}
            </button>
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

function statusText(withDevices: boolean, asking: boolean): string {
  if (!withDevices) return 'You join without camera and microphone';
  return asking ? 'Waiting for the camera: the browser may be asking you…' : 'Your camera is off';
}
