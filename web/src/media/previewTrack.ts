import type { LocalAudioTrack, LocalVideoTrack } from 'livekit-client';

import { Listeners } from '../lib/listeners';
import { UnpluggedError } from '../texts/mediaProblem';

export type PreviewState<T> =
  { is: 'off' } | { is: 'asking' } | { is: 'live'; track: T } | { is: 'failed'; error: unknown };

/**
 * One device that a person tries out before a call. Kept outside React, because a device outlives renderings and
 * its track goes on into the call: `release` hands it over still running, so the camera's light does not blink.
 */
export class PreviewTrack<T extends LocalAudioTrack | LocalVideoTrack> {
  private state: PreviewState<T> = { is: 'off' };
  private readonly listeners = new Listeners();
  /** Distinguishes a late answer of the browser from the expected one. */
  private run = 0;

  readonly subscribe = this.listeners.add;

  readonly snapshot = (): PreviewState<T> => this.state;

  /** Opens a device instead of the current one. `open` asks the browser. */
  async start(open: () => Promise<T>): Promise<void> {
    const run = ++this.run;
    this.drop();
    this.set({ is: 'asking' });
    try {
      const track = await open();
      if (run !== this.run) {
        track.stop();
        return;
      }
      track.mediaStreamTrack.addEventListener('ended', () => {
        if (run === this.run) this.set({ is: 'failed', error: new UnpluggedError() });
      });
      this.set({ is: 'live', track });
    } catch (error) {
      if (run === this.run) this.set({ is: 'failed', error });
    }
  }

  stop(): void {
    this.run++;
    this.drop();
    this.set({ is: 'off' });
  }

  /** Hands the running track over; this object no longer has it. */
  release(): T | undefined {
    const track = this.state.is === 'live' ? this.state.track : undefined;
    this.run++;
    this.set({ is: 'off' });
    return track;
  }

  private drop(): void {
    if (this.state.is === 'live') this.state.track.stop();
  }

  private set(state: PreviewState<T>): void {
    this.state = state;
    this.listeners.tell();
  }
}
