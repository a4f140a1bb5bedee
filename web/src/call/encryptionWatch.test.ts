import type { Room } from 'livekit-client';
import { ConnectionState, RoomEvent } from 'livekit-client';
import { beforeEach, expect, test, vi } from 'vitest';

import type { Coming } from '../lib/roster';
import { EncryptionWatch, LOOK_AGAIN_MS } from './encryptionWatch';
import { Emitter } from './testEmitter';

const LONG_MS = 10_000;

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

function track(isEncrypted: boolean, trackSid = 'TR_1') {
  const inbound = { type: 'inbound-rtp', framesDecoded: 5 };
  const publication = {
    isEncrypted,
    isMuted: false,
    isDesired: true,
    trackSid,
    setSubscribed: (desired: boolean) => (publication.isDesired = desired),
    track: { getRTCStatsReport: () => Promise.resolve([inbound]) },
    inbound,
  };
  return publication;
}

function setUp(hasPassphrase: boolean) {
  const remoteParticipants = new Map<string, object>();
  const room = Object.assign(new Emitter(), { state: ConnectionState.Connected, remoteParticipants });
  let tellComing: (coming: Coming) => void = () => undefined;
  const roster = { onComing: (listener: typeof tellComing) => ((tellComing = listener), () => undefined) };
  const watch = new EncryptionWatch(room as unknown as Room, roster, hasPassphrase);
  const seen = (set: 'undecodable' | 'unreadable' | 'encrypting') => [...watch[set].snapshot()];
  /** Bob is in the room, with the given SID, and has published these tracks. */
  const bob = (sid: string, tracks: ReturnType<typeof track>[] = [], dataTracks: object[] = []) => {
    const participant = {
      identity: 'bob',
      sid,
      trackPublications: new Map(tracks.map((each) => [each.trackSid, each])),
      dataTracks: new Map(dataTracks.map((each, index) => [index, each])),
    };
    remoteParticipants.set('bob', participant);
    room.emit(RoomEvent.ParticipantConnected);
    return participant;
  };
  const fails = (message = 'InvalidKey: no') => {
    room.emit(RoomEvent.EncryptionError, new Error(message), remoteParticipants.get('bob'));
  };
  const bobLeaves = () => {
    remoteParticipants.delete('bob');
    tellComing({ identity: 'bob', name: 'Bob', came: false, key: 1 });
  };
  return { watch, room, seen, bob, fails, bobLeaves };
}

test('nobody is known to encrypt who has sent nothing, or sends plainly', () => {
  const { seen, bob } = setUp(false);
  bob('PA_1');
  expect(seen('encrypting')).toEqual([]);
  bob('PA_1', [track(false)], [{ info: { usesE2ee: false } }]);
  expect(seen('encrypting')).toEqual([]);
});

test('encrypted data tells that somebody encrypts who has published no track', () => {
  const { watch, seen, bob } = setUp(false);
  bob('PA_1');
  watch.dataCame('bob', false);
  expect(seen('encrypting')).toEqual(['bob']);
  expect(seen('unreadable')).toEqual([]);
});

test('so does an encrypted data track', () => {
  const { seen, bob } = setUp(false);
  bob('PA_1', [], [{ info: { usesE2ee: true } }]);
  expect(seen('encrypting')).toEqual(['bob']);
});

test('an encrypted track tells it, is not received, and what is known stays when it ends', () => {
  const { seen, bob } = setUp(false);
  const screen = track(true);
  bob('PA_1', [screen]);
  expect(seen('encrypting')).toEqual(['bob']);
  expect(screen.isDesired).toBe(false);
  bob('PA_1');
  expect(seen('encrypting')).toEqual(['bob']);
  bob('PA_1', [track(false)]);
  expect(seen('encrypting')).toEqual([]);
});

test('who leaves is no longer known to encrypt, and another session is judged anew', () => {
  const { watch, seen, bob, bobLeaves } = setUp(false);
  bob('PA_1', [track(true)]);
  bobLeaves();
  expect(seen('encrypting')).toEqual([]);
  bob('PA_2');
  watch.dataCame('bob', false);
  expect(seen('encrypting')).toEqual(['bob']);
  bob('PA_3');
  expect(seen('encrypting')).toEqual([]);
});

test('data that can’t be decrypted is told until other data can', () => {
  const { watch, seen } = setUp(true);
  watch.dataCame('bob', false);
  watch.dataCame('eve', false);
  expect(seen('unreadable')).toEqual(['bob', 'eve']);
  watch.dataCame('bob', true);
  expect(seen('unreadable')).toEqual(['eve']);
  expect(seen('encrypting')).toEqual([]);
});

test('or until frames are decrypted', async () => {
  const { watch, seen, bob } = setUp(true);
  const camera = track(true);
  bob('PA_1', [camera]);
  watch.dataCame('bob', false);
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(seen('unreadable')).toEqual(['bob']);
  camera.inbound.framesDecoded++;
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(seen('unreadable')).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

test('a frame that was not encrypted proves nothing', async () => {
  const { watch, seen, bob } = setUp(true);
  const plain = track(false);
  const muted = Object.assign(track(true, 'TR_2'), { isMuted: true });
  bob('PA_1', [plain, muted]);
  watch.dataCame('bob', false);
  for (let look = 0; look < 5; look++) {
    plain.inbound.framesDecoded++;
    muted.inbound.framesDecoded++;
    await vi.advanceTimersByTimeAsync(LONG_MS);
  }
  expect(seen('unreadable')).toEqual(['bob']);
});

test('or until the participant leaves, comes in another session, or the passphrase is changed', () => {
  const { watch, seen, bob, bobLeaves } = setUp(true);
  bob('PA_1');
  watch.dataCame('bob', false);
  bobLeaves();
  expect(seen('unreadable')).toEqual([]);
  bob('PA_2');
  watch.dataCame('bob', false);
  bob('PA_3');
  expect(seen('unreadable')).toEqual([]);
  watch.dataCame('bob', false);
  watch.passphraseChanged();
  expect(seen('unreadable')).toEqual([]);
});

test('sound and picture that can’t be decrypted are told until they can, or data can', async () => {
  const { watch, seen, bob, fails } = setUp(true);
  const camera = track(true);
  bob('PA_1', [camera]);
  fails();
  expect(seen('undecodable')).toEqual(['bob']);
  await vi.advanceTimersByTimeAsync(LONG_MS);
  camera.inbound.framesDecoded++;
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(seen('undecodable')).toEqual([]);
  fails();
  watch.dataCame('bob', true);
  expect(seen('undecodable')).toEqual([]);
});

test('what was counted before somebody else was added is no proof', async () => {
  const { watch, seen, bob, fails } = setUp(true);
  const camera = track(true);
  let answer: (report: (typeof camera.inbound)[]) => void = () => undefined;
  camera.track.getRTCStatsReport = () => new Promise((resolve) => (answer = resolve));
  bob('PA_1', [camera]);
  fails();
  await vi.advanceTimersByTimeAsync(LOOK_AGAIN_MS);
  watch.dataCame('eve', false);
  answer([{ ...camera.inbound }]);
  await vi.advanceTimersByTimeAsync(0);
  // The last frames that were decoded before.
  camera.inbound.framesDecoded++;
  camera.track.getRTCStatsReport = () => Promise.resolve([camera.inbound]);
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(seen('undecodable')).toEqual(['bob']);
});

test('while the connection is made anew, what was known stays', async () => {
  const { room, seen, bob, fails } = setUp(true);
  bob('PA_1', [track(true)]);
  fails();
  room.state = ConnectionState.Reconnecting;
  room.remoteParticipants.clear();
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(seen('undecodable')).toEqual(['bob']);
});

test('with another passphrase, who sends is judged by what becomes of it, and nobody else is blamed', () => {
  const { watch, seen, bob, fails } = setUp(true);
  const camera = track(true);
  bob('PA_1', [camera]);
  fails();
  watch.passphraseChanged();
  expect(seen('undecodable')).toEqual(['bob']);
  camera.isMuted = true;
  watch.passphraseChanged();
  expect(seen('undecodable')).toEqual([]);
});

test('an error that is no matter of keys blames nobody’s passphrase', () => {
  const { seen, bob, fails } = setUp(true);
  bob('PA_1', [track(true)]);
  fails('InternalError: encryption state unknown for track');
  expect(seen('undecodable')).toEqual([]);
  fails('MissingKey: missing key at index 1');
  expect(seen('undecodable')).toEqual(['bob']);
});
