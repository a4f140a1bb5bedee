import { expect, test } from 'vitest';

import { joinPath, readRoute } from './route';

test.each([
  ['/', { page: 'home' }],
  ['/api/docs', { page: 'api' }],
  ['/join/standup', { page: 'join', room: 'standup' }],
  ['/join/standup/', { page: 'join', room: 'standup' }],
  ['/join/a%20b%2Fc', { page: 'join', room: 'a b/c' }],
  ['/join/', { page: 'unknown' }],
  ['/join/%20', { page: 'unknown' }],
  ['/join/%E0%A4%A', { page: 'unknown' }],
  ['/join/a/b', { page: 'unknown' }],
  ['/elsewhere', { page: 'unknown' }],
])('%s', (path, route) => {
  expect(readRoute(path)).toEqual(route);
});

test('a path leads back to the room that made it', () => {
  for (const room of ['standup', 'Straße 7', 'a/b?c#d', '会议']) {
    expect(readRoute(joinPath(room))).toEqual({ page: 'join', room });
  }
});
