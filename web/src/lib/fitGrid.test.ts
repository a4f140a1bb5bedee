import { expect, test } from 'vitest';

import { fitGrid } from './fitGrid';

test.each([
  // count, stage, columns
  [1, 1440, 720, 1],
  [2, 1440, 720, 2],
  [3, 1440, 720, 2],
  [4, 1440, 720, 2],
  [5, 1440, 720, 3],
  [12, 1440, 720, 4],
  [2, 366, 690, 1],
  [3, 366, 690, 1],
  [6, 366, 690, 2],
  [12, 3760, 1900, 4],
])('%i on %i × %i stand in %i columns', (count, width, height, columns) => {
  const fit = fitGrid(count, width, height, 8);
  expect(fit).toMatchObject({ perPage: count, columns });
});

test('tiles always fit, and are neither flatter than 16:9 nor narrower than 3:4', () => {
  for (let count = 1; count <= 60; count++) {
    for (const [width, height] of [
      [366, 690],
      [812, 250],
      [736, 880],
      [1440, 720],
      [3760, 1900],
    ] as const) {
      const { perPage, columns, tileWidth, tileHeight } = fitGrid(count, width, height, 8);
      const rows = Math.ceil(perPage / columns);
      expect(columns * tileWidth + (columns - 1) * 8).toBeLessThanOrEqual(width);
      expect(rows * tileHeight + (rows - 1) * 8).toBeLessThanOrEqual(height);
      expect(tileWidth / tileHeight).toBeGreaterThan(0.74);
      expect(tileWidth / tileHeight).toBeLessThan(1.8);
    }
  }
});

test('who would be too small goes to the next page', () => {
  const fit = fitGrid(40, 366, 690, 8);
  expect(fit.perPage).toBeLessThan(40);
  expect(fit.tileWidth).toBeGreaterThan(100);
});

test('a stage that is not laid out yet is no error', () => {
  expect(fitGrid(5, 0, 0, 8)).toMatchObject({ perPage: 1, columns: 1, tileWidth: 0 });
});
