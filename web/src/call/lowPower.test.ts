import type { Room } from 'livekit-client';
import { LocalVideoTrack, Track } from 'livekit-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { LASTS_MS, LowPower } from './lowPower';
import { Emitter } from './testEmitter';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function setUp() {
  const limited = { by: 'none' };
  const device: { error?: Error } = {};
  const calls: string[] = [];
  const camera = Object.assign(Object.create(LocalVideoTrack.prototype) as object, {
    getSenderStats: () => Promise.resolve([{ qualityLimitationReason: limited.by }]),
    prioritizePerformance: () => Promise.resolve(calls.push('small')),
  });
  // Getters of the class, which a plain assignment can't replace.
  Object.defineProperties(camera, { sender: { value: {} }, isMuted: { value: false } });
  const localParticipant = Object.assign(new Emitter(), {
    getTrackPublication: () => ({ track: camera }),
    unpublishTrack: () => Promise.resolve(calls.push('stopped')),
    setCameraEnabled: (on: boolean) =>
      device.error ? Promise.reject(device.error) : Promise.resolve(calls.push(on ? 'started' : 'off')),
  });
  const room = Object.assign(new Emitter(), { localParticipant });
  const lowPower = new LowPower(room as unknown as Room);
  const told = vi.fn();
  lowPower.onTurnedOn(told);
  const failed = vi.fn();
  lowPower.onCameraFailed(failed);
  const complain = async () => {
    limited.by = 'cpu';
    localParticipant.emit('localTrackCpuConstrained', camera, {});
    await vi.advanceTimersByTimeAsync(LASTS_MS);
  };
  return { lowPower, limited, device, calls, told, failed, complain, room };
}

test('an encoder that can’t keep up for long turns the mode on, and says so', async () => {
  const { lowPower, calls, told, complain } = setUp();
  await complain();
  expect(lowPower.snapshot()).toBe(true);
  expect(calls).toEqual(['small']);
  expect(told).toHaveBeenCalledOnce();
});

test('one that catches up again changes nothing', async () => {
  const { lowPower, limited, complain } = setUp();
  const complaint = complain();
  limited.by = 'none';
  await complaint;
  expect(lowPower.snapshot()).toBe(false);
});

test('whoever turned it off is not overruled', async () => {
  const { lowPower, calls, told, complain } = setUp();
  await lowPower.choose(true);
  await lowPower.choose(false);
  await complain();
  expect(lowPower.snapshot()).toBe(false);
  expect(calls).toEqual(['small', 'stopped', 'started']);
  expect(told).not.toHaveBeenCalled();
});

test('a camera that is sent anew is sent small again', async () => {
  const { lowPower, calls, room } = setUp();
  await lowPower.choose(true);
  room.emit('localTrackPublished', { source: Track.Source.Camera });
  room.emit('localTrackPublished', { source: Track.Source.ScreenShare });
  await vi.advanceTimersByTimeAsync(0);
  expect(calls).toEqual(['small', 'small']);
});

test('a camera that does not open again is told, and the mode is off all the same', async () => {
  const { lowPower, device, calls, failed } = setUp();
  await lowPower.choose(true);
  device.error = new DOMException('in use', 'NotReadableError');
  await lowPower.choose(false);
  expect(failed).toHaveBeenCalledExactlyOnceWith(device.error);
  expect(lowPower.snapshot()).toBe(false);
  expect(calls).toEqual(['small', 'stopped']);
});
