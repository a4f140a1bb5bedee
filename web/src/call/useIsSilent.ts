import { useParticipantTracks } from '@livekit/components-react';
import type { Participant } from 'livekit-client';
import { Track } from 'livekit-client';

const VOICES = [Track.Source.Microphone, Track.Source.Unknown];

/** Whether a participant can't be heard: their microphone is off, and so is every audio track without a source. */
export function useIsSilent(participant: Participant): boolean {
  const tracks = useParticipantTracks(VOICES, participant.identity);
  return tracks.every(({ publication }) => publication.kind !== Track.Kind.Audio || publication.isMuted);
}
