import type { Room } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';
import { beforeEach, expect, test, vi } from 'vitest';

import { Arrival, LOOK_MS } from './arrival';
import { Emitter } from './testEmitter';

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

function engineOf(pcManager: unknown): { pcManager: unknown } | undefined {
  return { pcManager };
}

function setUp(kind: 'subscriber' | 'publisher' = 'subscriber') {
  let media: RTCPeerConnectionState = 'connected';
  const transport = { getConnectionState: () => media };
  const pcManager =
    kind === 'subscriber' ? { subscriber: transport, publisher: { getConnectionState: () => 'new' } } : { publisher: transport };
  const room = Object.assign(new Emitter(), { engine: engineOf(pcManager) });
  const arrival = new Arrival(room as unknown as Room);
  const told = vi.fn();
  arrival.subscribe(told);
  return {
    arrival,
    room,
    told,
    be: (state: ConnectionState) => {
      room.emit(RoomEvent.ConnectionStateChanged, state);
    },
    media: (state: RTCPeerConnectionState) => {
      media = state;
      vi.advanceTimersByTime(LOOK_MS);
    },
  };
}

test.each(['subscriber', 'publisher'] as const)('media over the %s may outlive signalling', (kind) => {
  const { arrival, be, media, told } = setUp(kind);
  be(ConnectionState.SignalReconnecting);
  // During an ICE restart the state is `connecting`, and the earlier connection goes on meanwhile.
  for (const state of ['connected', 'connecting'] as const) {
    media(state);
    expect(arrival.snapshot()).toBe(false);
  }
  be(ConnectionState.Connected);
  expect(told).not.toHaveBeenCalled();
});

test.each(['disconnected', 'failed', 'closed'] as const)('nothing arrives over media that is %s', (state) => {
  const { arrival, be, media, told } = setUp();
  be(ConnectionState.SignalReconnecting);
  media(state);
  expect(arrival.snapshot()).toBe(true);
  media('connecting');
  expect(arrival.snapshot()).toBe(true);
  media('connected');
  expect(arrival.snapshot()).toBe(false);
  expect(told).toHaveBeenCalledTimes(2);
});

test('media that ended before signalling is seen at once', () => {
  const { arrival, be, media } = setUp();
  media('closed');
  be(ConnectionState.SignalReconnecting);
  expect(arrival.snapshot()).toBe(true);
});

test('a connection made anew brings nothing until it is there', () => {
  const { arrival, be } = setUp();
  be(ConnectionState.Reconnecting);
  expect(arrival.snapshot()).toBe(true);
  be(ConnectionState.Connected);
  expect(arrival.snapshot()).toBe(false);
});

test('it goes on being looked at after a change from and to signalling alone, and no longer after the call', () => {
  const { arrival, be, media, room, told } = setUp();
  be(ConnectionState.Reconnecting);
  be(ConnectionState.SignalReconnecting);
  expect(arrival.snapshot()).toBe(false);
  media('failed');
  expect(arrival.snapshot()).toBe(true);
  be(ConnectionState.Disconnected);
  room.engine = undefined;
  told.mockClear();
  vi.advanceTimersByTime(10 * LOOK_MS);
  expect(told).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
