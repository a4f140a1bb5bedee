import type { Room } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';

import { Listeners } from '../lib/listeners';

/** A browser itself reports after 5 s that nothing answers; people do not notice a quarter of a second more. */
export const LOOK_MS = 250;

/** States in which a browser receives no media; in the other states media may arrive. */
const DEAD = new Set<RTCPeerConnectionState>(['disconnected', 'failed', 'closed']);

/**
 * Whether it is known that no media of the others arrives. While only signalling is lost, sound and picture may go on,
 * unless the media connection has ended as well. livekit-client does not report that (2.23.0, RTCEngine.ts,
 * `onStateChange`), so the state is polled.
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

  /** True if no media arrives. */
  readonly snapshot = (): boolean => this.ended;

  private look(): void {
    // `engine` is gone once a room is left, whatever its type says.
    const manager = (this.room.engine as Room['engine'] | undefined)?.pcManager;
    const state = (manager?.subscriber ?? manager?.publisher)?.getConnectionState() ?? 'closed';
    // A connection that has ended and is being replaced carries no media until it is connected.
    if (DEAD.has(state)) this.set(true);
    else if (state === 'connected') this.set(false);
  }

  private set(ended: boolean): void {
    if (this.ended === ended) return;
    this.ended = ended;
    this.listeners.tell();
  }
}
