import type { LocalTrackPublication, Room } from 'livekit-client';
import { LocalVideoTrack, ParticipantEvent, RoomEvent, Track } from 'livekit-client';

import { Listeners } from '../lib/listeners';

/**
 * When an encoder or another program starts, CPU is scarce for a moment. Only a shortage that lasts this long counts.
 */
export const LASTS_MS = 8_000;

/**
 * Sends the camera's picture small and at half the rate: when the person chooses it, or when this device can't keep up
 * with encoding. If the person turns the mode off, it stays off.
 */
export class LowPower {
  private on = false;
  private decided = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Listeners();
  private readonly turnedOnListeners = new Listeners();
  private readonly failedListeners = new Listeners<[unknown]>();
  private readonly room: Room;

  constructor(room: Room) {
    this.room = room;
    room.localParticipant.on(ParticipantEvent.LocalTrackCpuConstrained, (track) => {
      this.judgeLater(track);
    });
    // A camera that is turned on again, or sent again over a new connection, is another sender.
    room.on(RoomEvent.LocalTrackPublished, (publication: LocalTrackPublication) => {
      if (this.on && publication.source === Track.Source.Camera) void this.shrink();
    });
    room.once(RoomEvent.Disconnected, () => {
      clearTimeout(this.timer);
    });
  }

  readonly subscribe = this.listeners.add;

  readonly snapshot = (): boolean => this.on;

  /** Calls the listener when the mode turns itself on. */
  onTurnedOn(listener: () => void): () => void {
    return this.turnedOnListeners.add(listener);
  }

  /** Calls the listener with the browser's error when the camera can't be opened again for the large picture. */
  onCameraFailed(listener: (error: unknown) => void): () => void {
    return this.failedListeners.add(listener);
  }

  /** A person's own decision. */
  async choose(on: boolean): Promise<void> {
    this.decided = true;
    await this.turn(on);
  }

  private judgeLater(track: LocalVideoTrack): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.judge(track), LASTS_MS);
  }

  private async judge(track: LocalVideoTrack): Promise<void> {
    if (this.on || this.decided || track !== this.camera()) return;
    const stats = await track.getSenderStats();
    if (!stats.some(({ qualityLimitationReason }) => qualityLimitationReason === 'cpu')) return;
    await this.turn(true);
    this.turnedOnListeners.tell();
  }

  private async turn(on: boolean): Promise<void> {
    if (this.on === on) return;
    this.on = on;
    this.listeners.tell();
    await (on ? this.shrink() : this.grow());
  }

  private async shrink(): Promise<void> {
    const camera = this.camera();
    if (camera?.sender) await camera.prioritizePerformance();
  }

  /** livekit-client can't undo this for a track, so the camera is sent as a new track. */
  private async grow(): Promise<void> {
    const camera = this.camera();
    if (!camera) return;
    const wasOn = !camera.isMuted;
    try {
      await this.room.localParticipant.unpublishTrack(camera, true);
      if (wasOn) await this.room.localParticipant.setCameraEnabled(true);
    } catch (error) {
      this.failedListeners.tell(error);
    }
  }

  private camera(): LocalVideoTrack | undefined {
    const track = this.room.localParticipant.getTrackPublication(Track.Source.Camera)?.track;
    return track instanceof LocalVideoTrack ? track : undefined;
  }
}
