import type { LocalTrackPublication, Room } from 'livekit-client';
import { LocalVideoTrack, ParticipantEvent, RoomEvent, Track } from 'livekit-client';

import { Listeners } from '../lib/listeners';

/**
 * An encoder that starts, or a program that starts beside it, is short of the processor for a moment; only a lack that is
 * still there after this long is one.
 */
export const LASTS_MS = 8_000;

/**
 * Sends one's camera small and at half the rate: by hand, or by itself once this device can't keep up with encoding it.
 * Whoever turns it off by hand is not overruled.
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

  /** Calls back when the mode turns itself on. */
  onTurnedOn(listener: () => void): () => void {
    return this.turnedOnListeners.add(listener);
  }

  /** Calls back with what the browser said when the camera, which is opened anew to be sent large again, does not open. */
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

  /** livekit-client has no way back for a track, so the camera is sent as a new one. */
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
