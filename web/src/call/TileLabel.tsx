import { useConnectionQualityIndicator, useIsEncrypted, useParticipantInfo } from '@livekit/components-react';
import type { Participant } from 'livekit-client';
import { ConnectionQuality } from 'livekit-client';
import { Lock, LockOpen, MicOff, MonitorUp } from 'lucide-react';

import { displayName } from '../lib/displayName';
import { useEncryption } from './encryptionContext';
import { useHeld } from './useHeld';

interface TileLabelProps {
  participant: Participant;
  isScreen: boolean;
  muted: boolean;
  /** The participant's connection is interrupted. */
  away: boolean;
}

const QUALITY: Record<ConnectionQuality, { bars: number; text: string }> = {
  [ConnectionQuality.Excellent]: { bars: 3, text: 'excellent' },
  [ConnectionQuality.Good]: { bars: 2, text: 'good' },
  [ConnectionQuality.Poor]: { bars: 1, text: 'poor' },
  [ConnectionQuality.Lost]: { bars: 0, text: 'lost' },
  [ConnectionQuality.Unknown]: { bars: 0, text: 'not known yet' },
};

/** The participant's name, whether they can be heard, and how good their connection is. */
export function TileLabel({ participant, isScreen, muted, away }: TileLabelProps) {
  const info = useParticipantInfo({ participant });
  const encrypted = useHeld(useIsEncrypted(participant));
  // Shown only if the others are encrypted; a participant who sends nothing has nothing to encrypt.
  const sends = useHeld(participant.trackPublications.size > 0, false);
  const plain = useEncryption().mine && !encrypted && sends;
  const { quality } = useConnectionQualityIndicator({ participant });
  const name = displayName({ name: info.name, identity: participant.identity });
  const { bars, text } = QUALITY[quality];

  return (
    <div className="tile-label">
      {isScreen ? (
        <MonitorUp aria-hidden="true" />
      ) : (
        muted && <MicOff className="muted" role="img" aria-label="Muted" data-testid="muted" />
      )}
      {encrypted && <Lock role="img" aria-label="Encrypted end to end" />}
      {plain && (
        <LockOpen className="plain" role="img" aria-label="Not encrypted end to end" data-testid="not-encrypted" />
      )}
      <span className="tile-name">
        {name}
        {isScreen ? '’s screen' : participant.isLocal ? ' (you)' : ''}
      </span>
      {away && (
        <span className="away" data-testid="away">
          reconnecting…
        </span>
      )}
      {!isScreen && !away && (
        <span
          className="quality"
          role="img"
          data-testid="quality"
          data-quality={quality}
          data-bars={bars}
          title={`Connection: ${text}`}
          aria-label={`Connection: ${text}`}
        >
          <i />
          <i />
          <i />
        </span>
      )}
    </div>
  );
}
