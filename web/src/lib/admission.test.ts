import { beforeEach, expect, test, vi } from 'vitest';

import type { Hub } from '../hub/contract';
import type { Admission } from './admission';
import { requestGrant } from './admission';

const store = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined };
let signedIn = false;
let asked: string[] = [];

beforeEach(() => {
  asked = [];
  vi.stubGlobal('fetch', (path: string) => {
    asked.push(path);
    const answer = path === '/api/session' ? { signed_in: signedIn, name: '' } : { token: 'made', url: 'ws://hub' };
    return Promise.resolve(new Response(JSON.stringify(answer)));
  });
});

function take(admission: Admission, tokens: Hub['tokens']) {
  const hub: Hub = { name: 'h', version: '1', livekit_url: 'ws://hub', reach: 'public', tokens, sign_in: true };
  return requestGrant(admission, hub, 'lobby', 'Ann', store);
}

const ACCOUNT: Admission = { by: 'account', name: 'Ann' };

test('who was signed in does not become a guest unnoticed', async () => {
  signedIn = false;
  await expect(take(ACCOUNT, 'open')).rejects.toMatchObject({ status: 401 });
  expect(asked).toEqual(['/api/session']);
});

test('who is signed in gets a token', async () => {
  signedIn = true;
  expect((await take(ACCOUNT, 'open')).token).toBe('made');
});

test('where only accounts get tokens, the hub says so itself', async () => {
  signedIn = false;
  await take(ACCOUNT, 'link');
  expect(asked).toEqual(['/api/livekit/token']);
});

test('a guest is asked for no account', async () => {
  signedIn = false;
  expect((await take({ by: 'open' }, 'open')).token).toBe('made');
  expect(asked).toEqual(['/api/livekit/token']);
});
