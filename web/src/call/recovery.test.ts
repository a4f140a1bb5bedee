import type { Room } from 'livekit-client';
import { ParticipantEvent, RoomEvent, Track } from 'livekit-client';
import { expect, test } from 'vitest';

import { watchRecovery } from './recovery';
import { Emitter } from './testEmitter';

test('what works again is told, as long as it is asked for', () => {
  const localParticipant = new Emitter();
  const room = Object.assign(new Emitter(), { localParticipant });
  const mode = { on: false, tell: (): void => undefined };
  const lowPower = {
    snapshot: () => mode.on,
    subscribe: (listener: () => void) => {
      mode.tell = listener;
      return () => true;
    },
  };
  const told: string[] = [];
  const stop = watchRecovery(room as unknown as Room, lowPower, (concern) => told.push(concern));
  localParticipant.emit(ParticipantEvent.LocalTrackPublished, { source: Track.Source.Camera });
  localParticipant.emit(ParticipantEvent.LocalTrackPublished, { source: Track.Source.ScreenShareAudio });
  localParticipant.emit(ParticipantEvent.TrackUnmuted, { source: Track.Source.Microphone });
  room.emit(RoomEvent.ActiveDeviceChanged, 'audiooutput');
  mode.on = true;
  mode.tell();
  mode.on = false;
  mode.tell();
  expect(told).toEqual(['camera', 'microphone', 'speaker', 'low-power']);
  stop();
  localParticipant.emit(ParticipantEvent.TrackUnmuted, { source: Track.Source.Microphone });
  expect(told).toHaveLength(4);
});
