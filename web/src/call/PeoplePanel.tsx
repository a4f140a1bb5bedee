import { useLocalParticipant } from '@livekit/components-react';
import type { Participant } from 'livekit-client';
import { ParticipantKind } from 'livekit-client';
import { Mic, MicOff } from 'lucide-react';
import { useEffect, useRef } from 'react';

import { colour, hue, initials } from '../lib/avatar';
import { displayName } from '../lib/displayName';
import { useIsCutOff, useOthers } from './callContext';
import { RoomAddress } from './RoomAddress';
import { SidePanel } from './SidePanel';
import { useIsSilent } from './useIsSilent';

/** All people in the call, and how others can join. */
export function PeoplePanel({ onClose }: { onClose: () => void }) {
  const others = useOthers();
  const { localParticipant } = useLocalParticipant();
  const cutOff = useIsCutOff();
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.focus();
  }, []);
  return (
    <SidePanel title="People" testId="people-panel" onClose={onClose}>
      <ul className="people" ref={list} tabIndex={-1} aria-label="People in this call">
        <Row participant={localParticipant} name={displayName(localParticipant)} away={cutOff} />
        {others.map(({ identity, name, away, participant }) => (
          <Row key={identity} participant={participant} name={name} away={away || cutOff} />
        ))}
      </ul>
      <RoomAddress />
    </SidePanel>
  );
}

function Row({ participant, name, away }: { participant: Participant; name: string; away: boolean }) {
  const silent = useIsSilent(participant);
  const kind = participant.kind === ParticipantKind.STANDARD ? '' : 'program';
  const state = [participant.isLocal ? 'you' : '', kind, away ? 'reconnecting…' : ''].filter(Boolean).join(', ');
  return (
    <li data-testid="person" data-identity={participant.identity} data-away={away}>
      <span className="avatar" aria-hidden="true" style={{ background: colour(hue(participant.identity)) }}>
        {initials(name)}
      </span>
      <span className="person-name">
        {name}
        {state && <small> {state}</small>}
      </span>
      {!away &&
        (silent ? (
          <MicOff className="muted" role="img" aria-label="Muted" />
        ) : (
          <Mic role="img" aria-label="Microphone on" />
        ))}
    </li>
  );
}
