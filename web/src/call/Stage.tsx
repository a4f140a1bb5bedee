import { isEqualTrackRef } from '@livekit/components-core';
import { CarouselLayout, useLayoutContext, usePinnedTracks, useTracks } from '@livekit/components-react';
import { Track } from 'livekit-client';

import { Grid } from './Grid';
import { Tile } from './Tile';
import { useAutoPin } from './useAutoPin';

/** Everyone side by side, or one large and the others beside it. */
export function Stage() {
  const tracks = useTracks(
    [
      { source: Track.Source.Camera, withPlaceholder: true },
      { source: Track.Source.ScreenShare, withPlaceholder: false },
    ],
    { onlySubscribed: false },
  );
  const pinned = usePinnedTracks(useLayoutContext())[0];
  // The pin remembers how a track was when it was pinned; what is shown is how it is now.
  const focus = tracks.find((track) => isEqualTrackRef(track, pinned) || isSamePlace(track, pinned));
  useAutoPin(tracks, pinned);

  if (!focus) return <Grid tracks={tracks} />;
  const others = tracks.filter((track) => track !== focus);
  return (
    <main
      className="stage focus"
      aria-label="Participants"
      data-testid="stage"
      data-layout="focus"
      data-alone={others.length === 0}
    >
      <div className="focus-main">
        <Tile trackRef={focus} large />
      </div>
      {others.length > 0 && (
        <CarouselLayout tracks={others}>
          <Tile />
        </CarouselLayout>
      )}
    </main>
  );
}

type Ref = Parameters<typeof Tile>[0]['trackRef'];

function isSamePlace(a: Ref, b: Ref): boolean {
  return a?.participant.identity === b?.participant.identity && a?.source === b?.source;
}
