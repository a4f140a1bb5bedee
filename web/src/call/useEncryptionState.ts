import { useRemoteParticipants } from '@livekit/components-react';
import type { Participant, RemoteParticipant } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react';

import { decodedAmount } from './decodedAmount';
import type { EncryptionState } from './encryptionContext';
import type { CallSession } from './session';
import { useHeld } from './useHeld';

/** How often a participant who could not be decrypted is looked at again: as often as the worker reports errors. */
const LOOK_AGAIN_MS = 1_500;

const PUBLICATION_EVENTS = [RoomEvent.TrackPublished, RoomEvent.TrackUnpublished, RoomEvent.TrackSubscribed];

export function useEncryptionState({ room, encryption, undecryptable }: CallSession): EncryptionState {
  const remotes = useRemoteParticipants({ room, updateOnlyOn: PUBLICATION_EVENTS });
  const unreadable = useSyncExternalStore(undecryptable.subscribe, undecryptable.snapshot);
  const [undecodable, setUndecodable] = useState<ReadonlySet<string>>(new Set());

  useEffect(() => {
    const failed = (_: Error, participant?: Participant) => {
      if (participant && !participant.isLocal) setUndecodable((known) => new Set(known).add(participant.identity));
    };
    room.on(RoomEvent.EncryptionError, failed);
    return () => {
      room.off(RoomEvent.EncryptionError, failed);
    };
  }, [room]);

  // The worker tells of failures, seldom, and never of success: whoever is decoded again is off the list.
  useEffect(() => {
    if (undecodable.size === 0) return;
    const before = new Map<string, number>();
    const look = async () => {
      // Nobody is in the room's list while the connection is made anew.
      if (room.state !== ConnectionState.Connected) return;
      for (const identity of undecodable) {
        const participant = room.remoteParticipants.get(identity);
        const amount = participant ? await decodedAmount(participant) : Infinity;
        const previous = before.get(identity);
        before.set(identity, amount);
        if (!participant || (previous !== undefined && amount > previous)) {
          setUndecodable((known) => new Set([...known].filter((other) => other !== identity)));
        }
      }
    };
    const timer = setInterval(() => void look(), LOOK_AGAIN_MS);
    return () => {
      clearInterval(timer);
    };
  }, [room, undecodable]);

  const foreign = encryption ? [] : remotes.filter(encrypts);
  useEffect(() => {
    // Undecrypted sound would be noise, and the picture a waste of the line.
    for (const participant of foreign) {
      for (const publication of participant.trackPublications.values()) {
        if (publication.isEncrypted && publication.isDesired) publication.setSubscribed(false);
      }
    }
  });

  const changePassphrase = useCallback(
    async (passphrase: string) => {
      await encryption?.keyProvider.setKey(passphrase);
      undecryptable.clear();
    },
    [encryption, undecryptable],
  );

  const foreignKey = useHeld(foreign.map((participant) => participant.identity).join('\n'));
  return useMemo(
    () => ({
      mine: encryption !== undefined,
      undecodable,
      unreadable,
      foreign: new Set(foreignKey === '' ? [] : foreignKey.split('\n')),
      changePassphrase,
    }),
    [encryption, undecodable, unreadable, foreignKey, changePassphrase],
  );
}

function encrypts(participant: RemoteParticipant): boolean {
  return [...participant.trackPublications.values()].some((publication) => publication.isEncrypted);
}
