import { expect, test } from 'vitest';

import { keepAwake } from './keepAwake';

function makeScreen(refuses = false) {
  const shown: { visibilityState: DocumentVisibilityState } = { visibilityState: 'visible' };
  const document = Object.assign(new EventTarget(), shown);
  const calls = { asked: 0, released: 0 };
  const request = () => {
    calls.asked++;
    if (refuses) return Promise.reject(new Error('low battery'));
    const release = () => Promise.resolve(calls.released++);
    return Promise.resolve({ release } as unknown as WakeLockSentinel);
  };
  const show = (visibilityState: DocumentVisibilityState) => {
    document.visibilityState = visibilityState;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  return { screen: { document, wakeLock: { request } }, calls, show };
}

const settle = () => new Promise((resolve) => setTimeout(resolve));

test('the screen stays on until the call is over, also after the page was hidden', async () => {
  const { screen, calls, show } = makeScreen();
  const stop = keepAwake(screen);
  await settle();
  show('hidden');
  expect(calls.asked).toBe(1);
  show('visible');
  await settle();
  expect(calls.asked).toBe(2);
  stop();
  await settle();
  expect(calls.released).toBe(1);
  show('visible');
  expect(calls.asked).toBe(2);
});

test('a lock that comes too late is given back', async () => {
  const { screen, calls } = makeScreen();
  keepAwake(screen)();
  await settle();
  expect(calls).toEqual({ asked: 1, released: 1 });
});

test('a browser that refuses, or knows no lock, disturbs nothing', async () => {
  const { screen, calls } = makeScreen(true);
  const stop = keepAwake(screen);
  await settle();
  stop();
  expect(calls.released).toBe(0);
  keepAwake({ document: screen.document, wakeLock: undefined })();
});
