import type { TrackReferenceOrPlaceholder } from '@livekit/components-core';
import { CarouselLayout, useLayoutContext, usePinnedTracks, useTracks } from '@livekit/components-react';
import { Track } from 'livekit-client';
import { useMemo } from 'react';

import { useOthers } from './callContext';
import { Grid } from './Grid';
import { findPinned, pickTiles, STAGE_SOURCES } from './stageTracks';
import { Tile } from './Tile';
import { useAutoPin } from './useAutoPin';
import { useHeld } from './useHeld';

/** All tiles side by side, or one large tile and the others beside it. */
export function Stage() {
  const tracks = useStageTracks();
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

/** The tracks on the stage, and a tile for each person who was there a moment ago and may come back. */
function useStageTracks(): TrackReferenceOrPlaceholder[] {
  const live = useTracks(STAGE_SOURCES, { onlySubscribed: false });
  const tiles = useHeld(useMemo(() => pickTiles(live), [live]));
  const others = useOthers();
  return useMemo(() => {
    const shown = new Set(tiles.map(({ participant }) => participant.identity));
    const missing = others.filter(({ identity, away }) => away && !shown.has(identity));
    return [...tiles, ...missing.map(({ participant }) => ({ participant, source: Track.Source.Camera }))];
  }, [tiles, others]);
}
