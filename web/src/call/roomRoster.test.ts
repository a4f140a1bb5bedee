import type { Room } from 'livekit-client';
import { ConnectionState, DisconnectReason, RoomEvent } from 'livekit-client';
import { beforeEach, expect, test, vi } from 'vitest';

import { ALL_COME_BACK_MS } from '../lib/roster';
import { RoomRoster } from './roomRoster';
import { Emitter } from './testEmitter';

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

interface Guest {
  identity: string;
  name: string;
  isActive: boolean;
}

function setUp() {
  const remoteParticipants = new Map<string, Guest>();
  const room = Object.assign(new Emitter(), { state: ConnectionState.Connected, remoteParticipants });
  const roster = new RoomRoster(room as unknown as Room);
  room.emit(RoomEvent.ConnectionStateChanged, ConnectionState.Connected);
  const comings: string[] = [];
  roster.onComing(({ name, came }) => comings.push(`${name} ${came ? 'joined' : 'left'}`));
  const names = (people: { name: string }[]) => people.map(({ name }) => name);
  return {
    comings,
    enter: (name: string, isActive: boolean) => {
      const guest = { identity: name.toLowerCase(), name, isActive };
      remoteParticipants.set(guest.identity, guest);
      room.emit(RoomEvent.ParticipantConnected, guest);
      return guest;
    },
    activate: async (guest: Guest) => {
      room.emit(RoomEvent.ParticipantActive, guest);
      guest.isActive = true;
      await Promise.resolve();
    },
    leave: (guest: Guest, reason?: DisconnectReason) => {
      remoteParticipants.delete(guest.identity);
      room.emit(RoomEvent.ParticipantDisconnected, guest, reason);
    },
    restart: () => {
      remoteParticipants.clear();
      room.emit(RoomEvent.Reconnecting);
      room.emit(RoomEvent.ConnectionStateChanged, ConnectionState.Connected);
    },
    away: () => names(roster.snapshot().filter(({ away }) => away)),
    missing: () => names(roster.missing()),
  };
}

test('who comes is not away, though not yet ready for messages', async () => {
  const call = setUp();
  const bob = call.enter('Bob', false);
  expect(call.away()).toEqual([]);
  expect(call.missing()).toEqual(['Bob']);
  await call.activate(bob);
  expect(call.missing()).toEqual([]);
  expect(call.comings).toEqual(['Bob joined']);
});

test('who comes back is away until ready to send and receive', async () => {
  const call = setUp();
  call.leave(call.enter('Bob', true));
  expect(call.away()).toEqual(['Bob']);
  const back = call.enter('Bob', false);
  expect(call.away()).toEqual(['Bob']);
  await call.activate(back);
  expect(call.away()).toEqual([]);
  expect(call.missing()).toEqual([]);
  expect(call.comings).toEqual(['Bob joined']);
});

test('the same after this person’s own connection was made anew, and who stays away has left', async () => {
  const call = setUp();
  call.enter('Bob', true);
  call.enter('Cleo', true);
  call.restart();
  expect(call.away()).toEqual(['Bob', 'Cleo']);
  await call.activate(call.enter('Bob', false));
  expect(call.away()).toEqual(['Cleo']);
  await vi.advanceTimersByTimeAsync(ALL_COME_BACK_MS);
  expect(call.comings).toEqual(['Bob joined', 'Cleo joined', 'Cleo left']);
  // A participant that comes later is a new one.
  call.enter('Cleo', false);
  expect(call.away()).toEqual([]);
});

test('who goes by their own will is not away', () => {
  const call = setUp();
  call.leave(call.enter('Bob', true), DisconnectReason.CLIENT_INITIATED);
  expect(call.away()).toEqual([]);
  expect(call.comings).toEqual(['Bob joined', 'Bob left']);
});
