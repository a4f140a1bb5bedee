import { useRoomContext } from '@livekit/components-react';
import { Users } from 'lucide-react';
import { useEffect, useRef } from 'react';

import { peopleText } from '../texts/callText';
import { Logo } from '../ui/Logo';
import { useOthers } from './callContext';
import { EncryptionBadge } from './EncryptionBadge';
import { IcePathBadge } from './IcePathBadge';
import { RecordingBadge } from './Recording';

interface CallHeaderProps {
  peopleOpen: boolean;
  onPeople: (button: HTMLElement) => void;
}

/** The room's name, the number of people, and the state of encryption. */
export function CallHeader({ peopleOpen, onPeople }: CallHeaderProps) {
  const room = useRoomContext();
  const people = useOthers().length + 1;
  const title = useRef<HTMLHeadingElement>(null);
  // The button that opened this page is gone: keyboard and screen reader users start at the name of the room.
  useEffect(() => {
    title.current?.focus();
  }, []);
  return (
    <header className="call-header">
      <Logo />
      <h1 ref={title} tabIndex={-1} title={room.name}>
        {room.name}
      </h1>
      <button
        type="button"
        className="badge"
        data-testid="people"
        title={peopleText(people)}
        aria-label={`People: ${people}`}
        aria-expanded={peopleOpen}
        onClick={(event) => {
          onPeople(event.currentTarget);
        }}
      >
        <Users aria-hidden="true" />
        <span>{people}</span>
      </button>
      {people === 1 && <span className="alone">Nobody else is here yet.</span>}
      <span className="spacer" />
      <RecordingBadge />
      <EncryptionBadge />
      <IcePathBadge />
    </header>
  );
}
