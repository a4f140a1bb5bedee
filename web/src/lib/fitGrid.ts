/** How tiles of one size are arranged on the stage. */
export interface GridFit {
  /** The number of tiles on one page; the others go to the next page. */
  perPage: number;
  columns: number;
  tileWidth: number;
  tileHeight: number;
}

/** A tile wider than the camera's picture would show bars, a taller one would cut off shoulders. */
const WIDEST = 16 / 9;
const TALLEST = { landscape: 4 / 3, portrait: 3 / 4 };

/** Faces on smaller tiles (in CSS pixels) are not worth showing. */
const SMALLEST_AREA = 140 * 105;

/** The arrangement that shows `count` tiles largest, or as many of them as can still be seen. */
export function fitGrid(count: number, width: number, height: number, gap: number): GridFit {
  for (let perPage = Math.max(1, count); perPage > 1; perPage--) {
    const fit = largest(perPage, width, height, gap);
    if (fit.tileWidth * fit.tileHeight >= SMALLEST_AREA) return fit;
  }
  return largest(1, width, height, gap);
}

function largest(count: number, width: number, height: number, gap: number): GridFit {
  let best = arrange(count, 1, width, height, gap);
  for (let columns = 2; columns <= count; columns++) {
    const fit = arrange(count, columns, width, height, gap);
    if (fit.tileWidth * fit.tileHeight > best.tileWidth * best.tileHeight) best = fit;
  }
  return best;
}

function arrange(count: number, columns: number, width: number, height: number, gap: number): GridFit {
  const rows = Math.ceil(count / columns);
  const cellWidth = Math.max(0, (width - (columns - 1) * gap) / columns);
  const cellHeight = Math.max(0, (height - (rows - 1) * gap) / rows);
  const tallest = width > height ? TALLEST.landscape : TALLEST.portrait;
  return {
    perPage: count,
    columns,
    tileWidth: Math.floor(Math.min(cellWidth, cellHeight * WIDEST)),
    tileHeight: Math.floor(Math.min(cellHeight, cellWidth / tallest)),
  };
}
