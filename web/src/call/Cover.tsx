import { useParticipantInfo, useRoomContext } from '@livekit/components-react';
import type { Participant } from 'livekit-client';
import { KeyRound, LockKeyhole, MonitorUp } from 'lucide-react';

import { colour, hue, initials } from '../lib/avatar';
import { displayName } from '../lib/displayName';

interface CoverProps {
  participant: Participant;
  ownScreen: boolean;
  problem: 'mismatch' | 'locked-out' | undefined;
}

/** The content of a tile without a picture, with the reason. */
export function Cover({ participant, ownScreen, problem }: CoverProps) {
  const room = useRoomContext();
  const { name } = useParticipantInfo({ participant });
  if (ownScreen) {
    return (
      <div className="cover">
        <MonitorUp aria-hidden="true" />
        <p>You are sharing your screen</p>
        <button
          type="button"
          className="button"
          data-testid="stop-sharing"
          onClick={() => void room.localParticipant.setScreenShareEnabled(false)}
        >
          Stop sharing
        </button>
      </div>
    );
  }
  if (problem) {
    return (
      <div className="cover">
        {problem === 'mismatch' ? <KeyRound aria-hidden="true" /> : <LockKeyhole aria-hidden="true" />}
        <p>{problem === 'mismatch' ? 'Uses another passphrase' : 'Encrypted: you have no passphrase'}</p>
      </div>
    );
  }
  return (
    <div className="cover">
      <span className="avatar" aria-hidden="true" style={{ background: colour(hue(participant.identity)) }}>
        {initials(displayName({ name, identity: participant.identity }))}
      </span>
    </div>
  );
}
