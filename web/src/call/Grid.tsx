import type { TrackReferenceOrPlaceholder } from '@livekit/components-core';
import { TrackLoop, usePagination, useSwipe } from '@livekit/components-react';
import type { CSSProperties, RefObject } from 'react';
import { useRef } from 'react';
import { useResizeObserver } from 'usehooks-ts';

import { fitGrid } from '../lib/fitGrid';
import { Pager } from './Pager';
import { Tile } from './Tile';

/** Between tiles, in CSS pixels. */
const GAP = 8;

/**
 * Equal tiles, as large as the stage allows. The library's GridLayout has only fixed arrangements, which leave much of
 * a phone or of a very wide screen empty; pages and the order of tiles come from the library.
 */
export function Grid({ tracks }: { tracks: TrackReferenceOrPlaceholder[] }) {
  const element = useRef<HTMLDivElement>(null);
  // The libraries' types are older than React's: they read the element once it exists.
  const grid = element as RefObject<HTMLDivElement>;
  const { width = 0, height = 0 } = useResizeObserver({ ref: grid });
  const fit = fitGrid(tracks.length, width, height, GAP);
  const pages = usePagination(fit.perPage, tracks);
  useSwipe(grid, { onLeftSwipe: pages.nextPage, onRightSwipe: pages.prevPage });
  const style = {
    '--gap': `${GAP}px`,
    '--tile-width': `${fit.tileWidth}px`,
    '--tile-height': `${fit.tileHeight}px`,
    // Tiles that are narrower than their cell must not slip into a row above.
    maxWidth: fit.columns * (fit.tileWidth + GAP),
  } as CSSProperties;

  return (
    <main className="stage" aria-label="Participants" data-testid="stage" data-layout="grid">
      <div className="grid-room" ref={element}>
        <div className="grid" style={style}>
          <TrackLoop tracks={pages.tracks}>
            <Tile />
          </TrackLoop>
        </div>
      </div>
      <Pager
        page={pages.currentPage}
        pages={pages.totalPageCount}
        onPrevious={pages.prevPage}
        onNext={pages.nextPage}
      />
    </main>
  );
}
