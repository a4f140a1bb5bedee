import type { AudioCaptureOptions, LocalTrackPublication, Room, VideoCaptureOptions } from 'livekit-client';
import { ConnectionState, LocalAudioTrack, LocalVideoTrack, RoomEvent } from 'livekit-client';

const TICK_MS = 1_000;
/** A page in a call runs its timers; a longer pause means that the machine slept, and its devices may not work yet. */
const LONGEST_PAUSE_MS = 5_000;

/**
 * Keeps camera and microphone open while a call reconnects. After a restart of the hub livekit-client closes and opens
 * them again, in case the machine slept. That costs about a second of black picture. And when two tabs share Chromium's
 * camera, it sometimes opens without ever giving a picture. So devices that work stay open, unless the machine did
 * sleep.
 */
export function keepDevices(room: Room): void {
  let slept = false;
  let lastTick = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    if (now - lastTick > LONGEST_PAUSE_MS) slept = true;
    lastTick = now;
  }, TICK_MS);
  room.once(RoomEvent.Disconnected, () => {
    clearInterval(timer);
  });
  room.on(RoomEvent.Reconnected, () => {
    slept = false;
  });

  const kept = new WeakSet<LocalAudioTrack | LocalVideoTrack>();
  room.on(RoomEvent.LocalTrackPublished, ({ track }: LocalTrackPublication) => {
    if (!(track instanceof LocalAudioTrack || track instanceof LocalVideoTrack) || kept.has(track)) return;
    kept.add(track);
    const restart = track.restartTrack.bind(track);
    track.restartTrack = async (options?: AudioCaptureOptions & VideoCaptureOptions) => {
      const mayKeep = options === undefined && !slept && room.state !== ConnectionState.Connected;
      if (mayKeep && isDelivering(track.mediaStreamTrack)) return;
      await restart(options);
    };
  });
}

function isDelivering(device: MediaStreamTrack): boolean {
  return device.readyState === 'live' && !device.muted;
}
