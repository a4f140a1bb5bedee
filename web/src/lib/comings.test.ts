import { expect, test } from 'vitest';

import { gatherComings } from './comings';
import type { Coming } from './roster';

function told(...names: string[]): Coming[] {
  return names.map((name, key) => ({
    key,
    identity: name.slice(1),
    name: name.slice(1),
    came: name.startsWith('+'),
  }));
}

test.each<[string[], [boolean, string[]][]]>([
  [[], []],
  [['+Ann'], [[true, ['Ann']]]],
  [['-Ann'], [[false, ['Ann']]]],
  [
    ['-Dan', '+Ann', '+Bob', '-Eve'],
    [
      [true, ['Ann', 'Bob']],
      [false, ['Dan', 'Eve']],
    ],
  ],
  // The earlier notice no longer applies.
  [['+Ann', '-Ann'], [[false, ['Ann']]]],
  [['-Ann', '+Bob', '+Ann'], [[true, ['Ann', 'Bob']]]],
])('%j', (comings, wanted) => {
  expect(gatherComings(told(...comings)).map(({ came, names }) => [came, names])).toEqual(wanted);
});
