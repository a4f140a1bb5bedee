import type { Room, TrackPublication } from 'livekit-client';
import { ParticipantEvent, RoomEvent, Track } from 'livekit-client';

import type { Concern } from '../texts/problem';
import type { LowPower } from './lowPower';

const SOURCES: Partial<Record<Track.Source, Concern>> = {
  [Track.Source.Microphone]: 'microphone',
  [Track.Source.Camera]: 'camera',
  [Track.Source.ScreenShare]: 'screen',
};

const DEVICES: Record<MediaDeviceKind, Concern> = {
  audioinput: 'microphone',
  videoinput: 'camera',
  audiooutput: 'speaker',
};

/** Calls `onWorks` with a part that works again or is over, until the returned function is called. */
export function watchRecovery(
  room: Room,
  lowPower: Pick<LowPower, 'subscribe' | 'snapshot'>,
  onWorks: (concern: Concern) => void,
): () => void {
  const sent = ({ source }: TrackPublication) => {
    const concern = SOURCES[source];
    if (concern) onWorks(concern);
  };
  const changed = (kind: MediaDeviceKind) => {
    onWorks(DEVICES[kind]);
  };
  const { localParticipant } = room;
  localParticipant.on(ParticipantEvent.LocalTrackPublished, sent).on(ParticipantEvent.TrackUnmuted, sent);
  room.on(RoomEvent.ActiveDeviceChanged, changed);
  const stop = lowPower.subscribe(() => {
    if (!lowPower.snapshot()) onWorks('low-power');
  });
  return () => {
    localParticipant.off(ParticipantEvent.LocalTrackPublished, sent).off(ParticipantEvent.TrackUnmuted, sent);
    room.off(RoomEvent.ActiveDeviceChanged, changed);
    stop();
  };
}
