import { expect, test } from 'vitest';

import { isExpired, readClaims } from './claims';

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

function token(payload: unknown): string {
  const part = (value: unknown) => base64Url(new TextEncoder().encode(JSON.stringify(value)));
  return `${part({ alg: 'HS256' })}.${part(payload)}.signature`;
}

test('reads who, where and until when', () => {
  const claims = readClaims(
    token({ sub: 'ana', name: 'Ána 李', exp: 1700000000, video: { room: 'standup', roomJoin: true } }),
  );
  expect(claims).toEqual({
    identity: 'ana',
    name: 'Ána 李',
    room: 'standup',
    expiresAt: 1700000000,
    mayPublish: true,
    mayRename: false,
    mayInvite: false,
  });
});

test('reads what the grant restricts and allows', () => {
  const claims = readClaims(
    token({ sub: 'a', name: '', video: { room: 'r', canPublish: false, canUpdateOwnMetadata: true, roomAdmin: true } }),
  );
  expect(claims).toMatchObject({ name: undefined, mayPublish: false, mayRename: true, mayInvite: true });
});

test.each([
  '',
  'abc',
  'a.b',
  'a.b.c',
  'a.%%%.c',
  `a.${base64Url(new TextEncoder().encode('null'))}.c`,
  `a.${base64Url(Uint8Array.of(0xff, 0xfe))}.c`,
  token({ sub: 'a' }),
  token({ video: { room: 'r' } }),
  token({ sub: 'a', video: { room: 'r' } }) + '.d',
])('is no LiveKit token: %s', (text) => {
  expect(readClaims(text)).toBeUndefined();
});

test('expires at the second that it says', () => {
  const claims = readClaims(token({ sub: 'a', exp: 1000, video: { room: 'r' } }));
  expect(claims && isExpired(claims, 999_999)).toBe(false);
  expect(claims && isExpired(claims, 1_000_000)).toBe(true);
});

test('a token without an end does not expire', () => {
  const claims = readClaims(token({ sub: 'a', video: { room: 'r' } }));
  expect(claims && isExpired(claims, Number.MAX_SAFE_INTEGER)).toBe(false);
});
