import { expect, test } from 'vitest';

import { hue, initials } from './avatar';
import { displayName } from './displayName';
import { uuidV4 } from './randomUuid';

test.each([
  ['Ana Lima', 'AL'],
  ['ana', 'A'],
  ['Jürgen von der Heide', 'JH'],
  ['李小龙', '李'],
  ['😀 smile', '😀S'],
  ['   ', '?'],
])('initials of %j', (name, letters) => {
  expect(initials(name)).toBe(letters);
});

test('alike identities get colours apart', () => {
  const gap = Math.abs(hue('user-1') - hue('user-2'));
  expect(Math.min(gap, 360 - gap)).toBeGreaterThan(40);
});

test('a name, else the identity', () => {
  expect(displayName({ name: 'Ana', identity: 'a1' })).toBe('Ana');
  expect(displayName({ name: '', identity: 'a1' })).toBe('a1');
  expect(displayName({})).toBe('Someone');
});

test.each([
  ['nothing of its own', ' \u3164\u2800\u200d', 'a1', 'a1'],
  ['nothing, twice', '\u200b', '\ufe0f ', 'Someone'],
  ['what turns the rest around', '\u202eana\u2066', 'a1', 'ana'],
  ['more than one line', 'ana\r\n\u2028bo\u0000', 'a1', 'anabo'],
  ['letters that join', 'می\u200cخواهم', 'a1', 'می\u200cخواهم'],
  ['an emoji of several', '👩\u200d💻', 'a1', '👩\u200d💻'],
])('a name that shows %s', (_, name, identity, shown) => {
  expect(displayName({ name, identity })).toBe(shown);
});

test('a version 4 UUID', () => {
  expect(uuidV4(globalThis.crypto)).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
});
