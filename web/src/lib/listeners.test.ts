import { expect, test, vi } from 'vitest';

import { Listeners } from './listeners';

test('each listener is called once for each change, until it is taken out', () => {
  const listeners = new Listeners<[string]>();
  const [first, second] = [vi.fn(), vi.fn()];
  const stop = listeners.add(first);
  listeners.add(second);
  listeners.add(second);
  listeners.tell('one');
  stop();
  stop();
  listeners.tell('two');
  expect(first.mock.calls).toEqual([['one']]);
  expect(second.mock.calls).toEqual([['one'], ['two']]);
});
