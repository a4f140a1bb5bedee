import type { Room } from 'livekit-client';
import { ConnectionState, DisconnectReason, RoomEvent } from 'livekit-client';
import { beforeEach, expect, test, vi } from 'vitest';

import { ALL_COME_BACK_MS } from '../lib/roster';
import { openChat } from './chatRoom';
import type { Other, RoomRoster } from './roomRoster';
import { Emitter } from './testEmitter';

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

function setUp() {
  const sent: string[] = [];
  const localParticipant = {
    identity: 'ann',
    name: 'Ann',
    streamText: () => Promise.resolve({ write: (text: string) => Promise.resolve(sent.push(text)), close: () => Promise.resolve() }),
    publishData: () => Promise.resolve(),
  };
  const room = Object.assign(new Emitter(), {
    state: ConnectionState.Connected,
    localParticipant,
    engine: { attemptingReconnect: false, ensureDataTransportConnected: () => Promise.resolve() },
    getParticipantByIdentity: () => localParticipant,
    registerTextStreamHandler: () => undefined,
  });
  const roster = { missing: [] as unknown[], look: (): void => undefined };
  const chat = openChat(
    room as unknown as Room,
    {
      missing: () => roster.missing as Other[],
      subscribe: (look: () => void) => (roster.look = look),
    } as unknown as RoomRoster,
  );
  const emit = (event: RoomEvent, state: ConnectionState, ...args: unknown[]) => {
    room.state = state;
    room.emit(event, ...args);
  };
  return { chat, emit, roster, sent };
}

/** The connection breaks and is back before the others are back. */
function comeBackFirst({ chat, emit, roster }: ReturnType<typeof setUp>): void {
  emit(RoomEvent.Reconnecting, ConnectionState.Reconnecting);
  expect(chat.held()).toBe('connection');
  roster.missing = ['Bob'];
  emit(RoomEvent.Reconnected, ConnectionState.Connected);
  expect(chat.held()).toBe('others');
}

test('after a connection made anew messages wait until the others are back', async () => {
  const call = setUp();
  comeBackFirst(call);
  call.chat.write('hello');
  await vi.advanceTimersByTimeAsync(ALL_COME_BACK_MS - 1);
  expect(call.sent).toEqual([]);
  call.roster.missing = [];
  call.roster.look();
  expect(call.chat.held()).toBeUndefined();
  await vi.advanceTimersByTimeAsync(0);
  expect(call.sent).toEqual(['hello']);
});

test('they do not wait for ever', async () => {
  const call = setUp();
  comeBackFirst(call);
  call.chat.write('hello');
  await vi.advanceTimersByTimeAsync(ALL_COME_BACK_MS);
  expect(call.chat.held()).toBeUndefined();
  expect(call.sent).toEqual(['hello']);
});

test('a connection that is resumed waits for nobody', () => {
  const { chat, emit, roster } = setUp();
  emit(RoomEvent.SignalReconnecting, ConnectionState.SignalReconnecting);
  expect(chat.held()).toBe('connection');
  roster.missing = ['Bob'];
  emit(RoomEvent.Reconnected, ConnectionState.Connected);
  expect(chat.held()).toBeUndefined();
});

test.each(Object.values(DisconnectReason).filter((reason) => typeof reason === 'number'))(
  'what was written just before a call ends for reason %i',
  async (reason) => {
    const { chat, emit } = setUp();
    chat.write('just now');
    await vi.advanceTimersByTimeAsync(0);
    emit(RoomEvent.Disconnected, ConnectionState.Disconnected, reason);
    // Only a person who leaves deliberately was connected until then.
    expect(chat.unsent()).toEqual(reason === DisconnectReason.CLIENT_INITIATED ? [] : ['just now']);
  },
);

test.each([DisconnectReason.CLIENT_INITIATED, undefined])(
  'who leaves while messages wait, for reason %s, is told of them and of what may be lost',
  async (reason) => {
    const call = setUp();
    call.chat.write('just before');
    await vi.advanceTimersByTimeAsync(0);
    comeBackFirst(call);
    call.chat.write('waits');
    call.emit(RoomEvent.Disconnected, ConnectionState.Disconnected, reason);
    expect(call.chat.unsent()).toEqual(['just before', 'waits']);
  },
);
