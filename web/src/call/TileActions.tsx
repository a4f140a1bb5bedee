import { Maximize, Pin, PinOff } from 'lucide-react';
import type { MouseEventHandler, RefObject } from 'react';

interface TileActionsProps {
  tile: RefObject<HTMLDivElement | null>;
  pinned: boolean;
  /** Whether the tile may fill the whole screen. */
  mayGrow: boolean;
  onPin: MouseEventHandler<HTMLButtonElement> | undefined;
}

/** The buttons of a tile. */
export function TileActions({ tile, pinned, mayGrow, onPin }: TileActionsProps) {
  return (
    <div className="tile-actions">
      {mayGrow && document.fullscreenEnabled && (
        <button
          type="button"
          className="button icon"
          aria-label="Full screen"
          title="Full screen"
          onClick={() => void tile.current?.requestFullscreen()}
        >
          <Maximize aria-hidden="true" />
        </button>
      )}
      <button
        type="button"
        className="button icon"
        data-testid="pin"
        aria-pressed={pinned}
        aria-label={pinned ? 'Back to the grid' : 'Make large'}
        title={pinned ? 'Back to the grid' : 'Make large'}
        onClick={onPin}
      >
        {pinned ? <PinOff aria-hidden="true" /> : <Pin aria-hidden="true" />}
      </button>
    </div>
  );
}
