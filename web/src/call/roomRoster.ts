import type { RemoteParticipant, Room } from 'livekit-client';
import { ConnectionState, DisconnectReason, RoomEvent } from 'livekit-client';

import { displayName } from '../lib/displayName';
import { Listeners } from '../lib/listeners';
import type { Coming, Person } from '../lib/roster';
import { Roster } from '../lib/roster';

/** The participant left or was removed: no connection broke. */
const FOR_GOOD = new Set<DisconnectReason | undefined>([
  DisconnectReason.CLIENT_INITIATED,
  DisconnectReason.PARTICIPANT_REMOVED,
]);

export interface Other extends Person {
  /** The last state from livekit-client; for a participant who is away it may be outdated. */
  participant: RemoteParticipant;
}

/** The other participants in a room, watched from before it is connected. */
export class RoomRoster {
  private readonly roster = new Roster();
  private readonly participants = new Map<string, RemoteParticipant>();
  private readonly listeners = new Listeners();
  private readonly comingListeners = new Listeners<[Coming]>();
  private others: Other[] = [];
  /** Participants who were away and are in the room again, but not yet ready to send and receive. */
  private readonly returning = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly room: Room;

  constructor(room: Room) {
    this.room = room;
    const look = () => {
      this.look();
    };
    room
      .on(RoomEvent.ParticipantConnected, look)
      .on(RoomEvent.ParticipantNameChanged, look)
      .on(RoomEvent.ParticipantActive, () => {
        // The event comes before the state changes (livekit-client 2.23.0, Participant.ts, `updateInfo`).
        queueMicrotask(look);
      })
      .on(RoomEvent.ParticipantDisconnected, (participant, reason) => {
        if (FOR_GOOD.has(reason)) this.roster.leave(participant.identity);
        this.look();
      })
      .on(RoomEvent.Reconnecting, () => {
        this.roster.lose();
        this.look();
      })
      .on(RoomEvent.ConnectionStateChanged, (state) => {
        if (state !== ConnectionState.Connected) return;
        this.roster.find(Date.now());
        this.look();
      })
      .on(RoomEvent.Disconnected, () => {
        clearTimeout(this.timer);
      });
  }

  readonly subscribe = this.listeners.add;

  readonly snapshot = (): Other[] => this.others;

  onComing(listener: (coming: Coming) => void): () => void {
    return this.comingListeners.add(listener);
  }

  /** The name of a participant who is or was in the room. */
  nameOf(identity: string): string {
    return displayName({ name: this.participants.get(identity)?.name, identity });
  }

  /** Known participants who are away at present, or not yet ready to receive. */
  missing(): Other[] {
    return this.others.filter(({ away, participant }) => away || !participant.isActive);
  }

  private isAway({ identity, away }: Person, participant: RemoteParticipant): boolean {
    if (away) this.returning.add(identity);
    else if (participant.isActive) this.returning.delete(identity);
    return this.returning.has(identity);
  }

  private look(): void {
    const now = Date.now();
    const guests = [...this.room.remoteParticipants.values()];
    for (const guest of guests) this.participants.set(guest.identity, guest);
    this.roster.see(
      guests.map(({ name, identity }) => ({ identity, name: displayName({ name, identity }) })),
      now,
    );
    this.others = this.roster.people().flatMap((person) => {
      const participant = this.participants.get(person.identity);
      return participant ? { ...person, away: this.isAway(person, participant), participant } : [];
    });
    this.listeners.tell();
    for (const coming of this.roster.takeComings()) {
      if (!coming.came) this.returning.delete(coming.identity);
      this.comingListeners.tell(coming);
    }
    clearTimeout(this.timer);
    const next = this.roster.nextLook(now);
    if (next !== undefined) {
      this.timer = setTimeout(() => {
        this.look();
      }, next);
    }
  }
}
