import { useParticipants, useRoomContext } from '@livekit/components-react';
import { RoomEvent } from 'livekit-client';
import { Users } from 'lucide-react';

import { Logo } from '../ui/Logo';
import { EncryptionBadge } from './EncryptionBadge';
import { IcePathBadge } from './IcePathBadge';

const COMINGS_AND_GOINGS = [RoomEvent.ParticipantConnected, RoomEvent.ParticipantDisconnected];

/** Where one is, with how many, and how safely. */
export function CallHeader() {
  const room = useRoomContext();
  const people = useParticipants({ updateOnlyOn: COMINGS_AND_GOINGS }).length;
  return (
    <header className="call-header">
      <Logo />
      <h1 title={room.name}>{room.name}</h1>
      <span
        className="badge plain"
        data-testid="people"
        title={people === 1 ? 'Only you are here' : `${people} people are here`}
      >
        <Users aria-hidden="true" />
        <span>{people}</span>
      </span>
      {people === 1 && <span className="alone">Nobody else is here yet.</span>}
      <span className="spacer" />
      <EncryptionBadge />
      <IcePathBadge />
    </header>
  );
}
