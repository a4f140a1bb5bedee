import type { LocalParticipant } from 'livekit-client';
import { Track } from 'livekit-client';

/** Whether LiveKit takes a track of this source from a participant. An empty list of sources stands for all. */
export function mayPublish(permissions: LocalParticipant['permissions'], source: Track.Source): boolean {
  if (permissions?.canPublish === false) return false;
  const sources = permissions?.canPublishSources ?? [];
  return sources.length === 0 || sources.includes(Track.sourceToProto(source));
}
