import type { Room } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';

import { Listeners } from '../lib/listeners';

/** A browser says itself after 5 s that nothing answers; a quarter of a second more is not noticed. */
export const LOOK_MS = 250;

/** States in which a browser takes no media; in the others it may arrive. */
const DEAD = new Set<RTCPeerConnectionState>(['disconnected', 'failed', 'closed']);

/**
 * Whether it is known that nothing of the others arrives. While only signalling is lost, sound and picture may go on,
 * unless the connection for media has ended as well; livekit-client tells nothing of that (2.23.0, RTCEngine.ts,
 * `onStateChange`), so it is looked at again and again.
 */
export class Arrival {
  private ended = false;
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly listeners = new Listeners();
  private readonly room: Room;

  constructor(room: Room) {
    this.room = room;
    room.on(RoomEvent.ConnectionStateChanged, (state) => {
      clearInterval(this.timer);
      if (state === ConnectionState.SignalReconnecting) {
        this.look();
        this.timer = setInterval(() => {
          this.look();
        }, LOOK_MS);
      } else {
        this.set(state === ConnectionState.Reconnecting);
      }
    });
  }

  readonly subscribe = this.listeners.add;

  /** True where nothing arrives. */
  readonly snapshot = (): boolean => this.ended;

  private look(): void {
    // `engine` is gone once a room is left, whatever its type says.
    const manager = (this.room.engine as Room['engine'] | undefined)?.pcManager;
    const state = (manager?.subscriber ?? manager?.publisher)?.getConnectionState() ?? 'closed';
    // One that has ended and is being made anew brings nothing before it is there.
    if (DEAD.has(state)) this.set(true);
    else if (state === 'connected') this.set(false);
  }

  private set(ended: boolean): void {
    if (this.ended === ended) return;
    this.ended = ended;
    this.listeners.tell();
  }
}
