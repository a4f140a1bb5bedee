import { useTrackVolume } from '@livekit/components-react';
import type { LocalAudioTrack } from 'livekit-client';

const STEPS = 16;

/** Shows the microphone's level. */
export function MicLevel({ track }: { track: LocalAudioTrack | undefined }) {
  const volume = useTrackVolume(track);
  // Speech is around a third of full scale: the square root spreads it over the meter.
  const level = track ? Math.min(1, Math.sqrt(volume)) : 0;
  return (
    <div
      className="mic-level"
      data-testid="mic-level"
      data-level={level.toFixed(2)}
      role="meter"
      aria-label="Microphone level"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(level * 100)}
    >
      {Array.from({ length: STEPS }, (_, step) => (
        <span key={step} data-on={level * STEPS > step} />
      ))}
    </div>
  );
}
