import type { TrackReferenceOrPlaceholder } from '@livekit/components-core';
import { isEqualTrackRef, isTrackReference } from '@livekit/components-core';
import { Track } from 'livekit-client';

/** The sources for `useTracks`. Programs often don't name the source of their picture. */
export const STAGE_SOURCES = [
  { source: Track.Source.Camera, withPlaceholder: true },
  { source: Track.Source.ScreenShare, withPlaceholder: false },
  { source: Track.Source.Unknown, withPlaceholder: false },
];

/** The tracks that have a tile: every picture, and a placeholder for each participant who sends none. */
export function pickTiles(tracks: TrackReferenceOrPlaceholder[]): TrackReferenceOrPlaceholder[] {
  const pictures = tracks.filter((track) => !isTrackReference(track) || track.publication.kind === Track.Kind.Video);
  const unnamed = pictures.filter((track) => track.source === Track.Source.Unknown);
  const shown = new Set(unnamed.map((track) => track.participant.identity));
  return pictures.filter((track) => isTrackReference(track) || !shown.has(track.participant.identity));
}

/**
 * The current track of the pin: the pin stores the old one, and a camera or screen that was off for a while is a new
 * track. One participant may send several pictures without a source.
 */
export function findPinned(
  tracks: TrackReferenceOrPlaceholder[],
  pinned: TrackReferenceOrPlaceholder | undefined,
): TrackReferenceOrPlaceholder | undefined {
  return tracks.find(
    (track) =>
      isEqualTrackRef(track, pinned) ||
      (track.source !== Track.Source.Unknown &&
        track.source === pinned?.source &&
        track.participant.identity === pinned.participant.identity),
  );
}
