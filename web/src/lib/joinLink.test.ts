import { expect, test } from 'vitest';

import { destination, findToken, forgetToken, keepToken, tokenInFragment } from './joinLink';
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
  ['#eyJ.a.b', 'eyJ.a.b'],
])('fragment %j', (hash, token) => {
  expect(tokenInFragment(hash)).toBe(token);
});

test.each([
  ['', undefined],
  ['  ', undefined],
  ['standup', '/join/standup'],
  [' the big room ', '/join/the%20big%20room'],
  ['a/b', '/join/a%2Fb'],
  ['http://192.0.2.7:8080/join/standup#eyJ.a.b', '/join/standup#eyJ.a.b'],
  ['https://rtc.example.com/join/the%20room/#eyJ.a.b', '/join/the%20room#eyJ.a.b'],
  ['/join/standup', '/join/standup'],
  // A page of another site is not opened; its address is used as a room's name.
  ['https://example.com/elsewhere', '/join/https%3A%2F%2Fexample.com%2Felsewhere'],
])('typing %j leads to %j', (typed, path) => {
  expect(destination(typed)).toBe(path);
});
