import { CarouselLayout, useLayoutContext, usePinnedTracks, useTracks } from '@livekit/components-react';

import { Grid } from './Grid';
import { findPinned, pickTiles, STAGE_SOURCES } from './stageTracks';
import { Tile } from './Tile';
import { useAutoPin } from './useAutoPin';

/** Everyone side by side, or one large and the others beside it. */
export function Stage() {
  const tracks = pickTiles(useTracks(STAGE_SOURCES, { onlySubscribed: false }));
  const pinned = usePinnedTracks(useLayoutContext())[0];
  const focus = findPinned(tracks, pinned);
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
