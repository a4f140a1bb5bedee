import type { Participant, RemoteParticipant, Room } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';

import { IdentitySet } from '../lib/identitySet';
import { decodedAmounts } from './decodedAmounts';
import type { RoomRoster } from './roomRoster';

/**
 * How often a participant whose media can't be decrypted is checked again. The worker reports a failure of one track at
 * most once a second (livekit-client 2.23.0, ErrorRateLimiter.ts).
 */
export const LOOK_AGAIN_MS = 1_500;

/** The worker's prefix for errors that have nothing to do with the passphrase. */
const NO_MATTER_OF_KEYS = 'InternalError';

/**
 * The participants whose media this person can't decrypt, as far as their packets show. Watched from before the room is
 * connected. Each new session of a participant is judged separately: it may have another passphrase, or none.
 */
export class EncryptionWatch {
  /** Participants whose sound and picture don't decrypt with this person's passphrase. */
  readonly undecodable = new IdentitySet();
  /** Participants whose messages and other data don't decrypt with it. */
  readonly unreadable = new IdentitySet();
  /** Participants who encrypt while this person has no passphrase. */
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
    // Restarted each time a participant is added: frames that were decoded before prove nothing.
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

  /** This person has another passphrase now. Each sender is judged by the media that arrive from now on. */
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
    // Undecrypted sound would be noise, and the picture a waste of bandwidth.
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

  /** The worker reports failures, rarely, and never reports success. */
  private async lookAgain(): Promise<void> {
    // The room's list is empty during a reconnect.
    if (this.room.state !== ConnectionState.Connected) return;
    const { timer, amounts } = this;
    for (const identity of this.doubted()) {
      const participant = this.room.remoteParticipants.get(identity);
      if (!participant) continue;
      const decoded = await decodedAmounts(participant);
      // The check was restarted meanwhile.
      if (timer !== this.timer) return;
      for (const [track, amount] of decoded) {
        if (amount > (amounts.get(track) ?? Infinity)) this.isUnderstood(identity);
        amounts.set(track, amount);
      }
    }
  }
}
