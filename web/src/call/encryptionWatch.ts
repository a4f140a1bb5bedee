import type { Participant, RemoteParticipant, Room } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';

import { IdentitySet } from '../lib/identitySet';
import { decodedAmounts } from './decodedAmounts';
import type { RoomRoster } from './roomRoster';

/**
 * How often somebody who can't be decrypted is looked at again. Of one track the worker reports a failure at most once a
 * second (livekit-client 2.23.0, ErrorRateLimiter.ts).
 */
export const LOOK_AGAIN_MS = 1_500;

/** What the worker puts before the words of an error that says nothing of the passphrase. */
const NO_MATTER_OF_KEYS = 'InternalError';

/**
 * Who encrypts what this person can't decrypt, as far as what they send tells. Followed from before the room is connected.
 * Each new session of a participant is judged anew: it may have another passphrase, or none.
 */
export class EncryptionWatch {
  /** Whose sound and picture don't decrypt with this person's passphrase. */
  readonly undecodable = new IdentitySet();
  /** Whose messages and other data don't. */
  readonly unreadable = new IdentitySet();
  /** Who encrypts, while this person has no passphrase. */
  readonly encrypting = new IdentitySet();

  private readonly sids = new Map<string, string>();
  private readonly amounts = new Map<string, number>();
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly room: Room;
  private readonly hasPassphrase: boolean;

  constructor(room: Room, roster: Pick<RoomRoster, 'onComing'>, hasPassphrase: boolean) {
    this.room = room;
    this.hasPassphrase = hasPassphrase;
    const look = () => {
      this.look();
    };
    room
      .on(RoomEvent.ParticipantConnected, look)
      .on(RoomEvent.TrackPublished, look)
      .on(RoomEvent.TrackSubscribed, look)
      .on(RoomEvent.DataTrackPublished, look)
      .on(RoomEvent.ConnectionStateChanged, look)
      .on(RoomEvent.EncryptionError, (error: Error, participant?: Participant) => {
        if (!participant || participant.isLocal || error.message.startsWith(NO_MATTER_OF_KEYS)) return;
        this.undecodable.add(participant.identity);
      })
      .once(RoomEvent.Disconnected, () => {
        clearInterval(this.timer);
      });
    roster.onComing(({ identity, came }) => {
      if (!came) this.forget(identity);
    });
    // From the beginning each time somebody is added: what was decoded before that is no proof.
    const watch = () => {
      clearInterval(this.timer);
      this.amounts.clear();
      if (this.doubted().length > 0) this.timer = setInterval(() => void this.lookAgain(), LOOK_AGAIN_MS);
    };
    this.undecodable.subscribe(watch);
    this.unreadable.subscribe(watch);
  }

  /** Encrypted data came from a participant. */
  dataCame(identity: string, decrypted: boolean): void {
    if (!this.hasPassphrase) this.encrypting.add(identity);
    else if (decrypted) this.isUnderstood(identity);
    else this.unreadable.add(identity);
  }

  /** This person has another passphrase now. Whoever sends just now is judged by what becomes of it. */
  passphraseChanged(): void {
    this.unreadable.clear();
    for (const identity of this.undecodable.snapshot()) {
      const publications = this.room.remoteParticipants.get(identity)?.trackPublications.values() ?? [];
      if (![...publications].some(({ isEncrypted, isMuted }) => isEncrypted && !isMuted)) {
        this.undecodable.delete(identity);
      }
    }
  }

  private look(): void {
    for (const participant of this.room.remoteParticipants.values()) {
      const { identity, sid } = participant;
      if ((this.sids.get(identity) ?? sid) !== sid) this.forget(identity);
      this.sids.set(identity, sid);
      if (!this.hasPassphrase) this.judge(participant);
    }
  }

  private judge(participant: RemoteParticipant): void {
    const publications = [...participant.trackPublications.values()];
    const encrypted = publications.filter(({ isEncrypted }) => isEncrypted);
    const dataTracks = [...participant.dataTracks.values()];
    if (encrypted.length > 0 || dataTracks.some(({ info }) => info.usesE2ee)) {
      this.encrypting.add(participant.identity);
    } else if (publications.length + dataTracks.length > 0) {
      this.encrypting.delete(participant.identity);
    }
    // Undecrypted sound would be noise, and the picture a waste of the line.
    for (const publication of encrypted) if (publication.isDesired) publication.setSubscribed(false);
  }

  private forget(identity: string): void {
    this.sids.delete(identity);
    this.encrypting.delete(identity);
    this.isUnderstood(identity);
  }

  private isUnderstood(identity: string): void {
    this.undecodable.delete(identity);
    this.unreadable.delete(identity);
  }

  private doubted(): string[] {
    return [...new Set([...this.undecodable.snapshot(), ...this.unreadable.snapshot()])];
  }

  /** The worker tells of failures, seldom, and never of success. */
  private async lookAgain(): Promise<void> {
    // Nobody is in the room's list while the connection is made anew.
    if (this.room.state !== ConnectionState.Connected) return;
    const { timer, amounts } = this;
    for (const identity of this.doubted()) {
      const participant = this.room.remoteParticipants.get(identity);
      if (!participant) continue;
      const decoded = await decodedAmounts(participant);
      // It began anew meanwhile.
      if (timer !== this.timer) return;
      for (const [track, amount] of decoded) {
        if (amount > (amounts.get(track) ?? Infinity)) this.isUnderstood(identity);
        amounts.set(track, amount);
      }
    }
  }
}
