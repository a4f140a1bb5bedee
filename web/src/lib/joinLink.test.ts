import { expect, test } from 'vitest';

import {
  destination,
  findInvite,
  findToken,
  forgetInvite,
  forgetToken,
  keepInvite,
  keepToken,
  readFragment,
  tabKey,
} from './joinLink';
import { memoryStore } from './store';

test('a token is kept for its room only', () => {
  const store = memoryStore();
  keepToken('standup', 'T', store);
  expect(findToken('standup', store)).toBe('T');
  expect(findToken('other', store)).toBeUndefined();
  forgetToken('standup', store);
  expect(findToken('standup', store)).toBeUndefined();
});

test.each([
  ['', undefined],
  ['#', undefined],
  ['#eyJ.a.b', { token: 'eyJ.a.b' }],
  ['#i=nbswy3dpeb3w64tm', { invite: 'nbswy3dpeb3w64tm' }],
  ['#i=', { invite: '' }],
])('fragment %j', (hash, found) => {
  expect(readFragment(hash)).toEqual(found);
});

test('an invite is kept for its room only', () => {
  const store = memoryStore();
  keepInvite('standup', 'S', store);
  expect(findInvite('standup', store)).toBe('S');
  expect(findInvite('other', store)).toBeUndefined();
  forgetInvite('standup', store);
  expect(findInvite('standup', store)).toBeUndefined();
});

test('of a token and an invite the newer one counts', () => {
  const store = memoryStore();
  keepToken('standup', 'T', store);
  keepInvite('standup', 'S', store);
  expect([findToken('standup', store), findInvite('standup', store)]).toEqual([undefined, 'S']);
  keepToken('standup', 'T', store);
  expect([findToken('standup', store), findInvite('standup', store)]).toEqual(['T', undefined]);
});

test('a tab keeps its key, and another tab has another', () => {
  const store = memoryStore();
  expect(tabKey(store)).toBe(tabKey(store));
  expect(tabKey(store).length).toBeGreaterThanOrEqual(16);
  expect(tabKey(memoryStore())).not.toBe(tabKey(store));
});

test.each([
  ['', undefined],
  ['  ', undefined],
  ['standup', '/join/standup'],
  [' the big room ', '/join/the%20big%20room'],
  ['a/b', '/join/a%2Fb'],
  ['http://192.0.2.7:8080/join/standup#eyJ.a.b', '/join/standup#eyJ.a.b'],
  ['https://rtc.example.com/join/the%20room/#eyJ.a.b', '/join/the%20room#eyJ.a.b'],
  ['https://rtc.example.com/join/standup#i=abc', '/join/standup#i=abc'],
  ['/join/standup', '/join/standup'],
  // A page of another site is not opened; its address is used as a room's name.
  ['https://example.com/elsewhere', '/join/https%3A%2F%2Fexample.com%2Felsewhere'],
])('typing %j leads to %j', (typed, path) => {
  expect(destination(typed)).toBe(path);
});
