import type { LocalAudioTrack, LocalVideoTrack } from 'livekit-client';

import type { PreviewState } from '../media/previewTrack';
import type { DeviceKind } from '../texts/mediaProblem';
import { explainMedia } from '../texts/mediaProblem';
import { Notice } from '../ui/Notice';

interface PreviewProblemsProps {
  microphone: PreviewState<LocalAudioTrack>;
  camera: PreviewState<LocalVideoTrack>;
  onMicrophone: () => void;
  onCamera: () => void;
  onBoth: () => void;
}

/** The devices that did not start, why, and a button to try again; one message if both failed for the same reason. */
export function PreviewProblems({ microphone, camera, onMicrophone, onCamera, onBoth }: PreviewProblemsProps) {
  if (microphone.is === 'failed' && camera.is === 'failed' && isSameRefusal(microphone.error, camera.error)) {
    return <Failure kind="camera and microphone" testId="devices-problem" error={camera.error} onRetry={onBoth} />;
  }
  return (
    <>
      {microphone.is === 'failed' && (
        <Failure kind="microphone" testId="microphone-problem" error={microphone.error} onRetry={onMicrophone} />
      )}
      {camera.is === 'failed' && (
        <Failure kind="camera" testId="camera-problem" error={camera.error} onRetry={onCamera} />
      )}
    </>
  );
}

interface FailureProps {
  kind: DeviceKind;
  testId: string;
  error: unknown;
  onRetry: () => void;
}

function Failure({ kind, testId, error, onRetry }: FailureProps) {
  return (
    <Notice problem={explainMedia(kind, error)} testId={testId}>
      <button type="button" className="button" onClick={onRetry}>
        Try again
      </button>
    </Notice>
  );
}

const SHARED_REASONS = new Set(['NotAllowedError', 'NotFoundError']);

function isSameRefusal(one: unknown, other: unknown): boolean {
  return one instanceof Error && other instanceof Error && one.name === other.name && SHARED_REASONS.has(one.name);
}
