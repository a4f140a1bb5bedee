import type { LocalAudioTrack, LocalVideoTrack } from 'livekit-client';
import { DefaultReconnectPolicy, LogLevel, Room, RoomEvent, setLogLevel, Track } from 'livekit-client';

import type { Admission } from '../lib/admission';
import type { Chat } from '../lib/chat';
import { part } from '../lib/part';
import { mayPublish } from '../lib/permissions';
import { audioOptions, videoOptions } from '../media/preview';
import { ENCRYPTION_FAILED, explainConnect } from '../texts/joinProblem';
import { explainMedia } from '../texts/mediaProblem';
import type { Problem } from '../texts/problem';
import { ProblemError } from '../texts/problem';
import { Arrival } from './arrival';
import { openChat } from './chatRoom';
import { tellEncryptedData } from './dataEncryption';
import type { Encryption } from './encryption';
import { EncryptionWatch } from './encryptionWatch';
import { keepDevices } from './keepDevices';
import { LowPower } from './lowPower';
import { RoomRoster } from './roomRoster';

/** Everything that is needed to enter a room. */
export interface Entry {
  url: string;
  token: string;
  /** Whether this person may let others in. */
  mayInvite: boolean;
  cameBy: Admission['by'];
  devices: { microphone: string; camera: string; speaker: string };
  /** End-to-end encryption with this passphrase; none without. */
  passphrase: string;
  /** Called once connected: returns the devices that are open already, and hands them over. */
  takeTracks: () => (LocalAudioTrack | LocalVideoTrack | undefined)[];
}

/** A call that has begun. */
export interface CallSession {
  room: Room;
  /** The token for the hub's own API. It is never shown. */
  token: string;
  mayInvite: boolean;
  cameBy: Admission['by'];
  chat: Chat;
  roster: RoomRoster;
  arrival: Arrival;
  lowPower: LowPower;
  encryption: Encryption | undefined;
  encryptionWatch: EncryptionWatch;
  /** Settles with the problems when the devices that were open before the call are published. */
  publishing: Promise<Problem[]>;
}

setLogLevel(LogLevel.warn);

// A separate chunk: most calls do not need it.
const loadEncryption = part(() => import('./encryption'));

/**
 * Waits before each attempt to come back; livekit-client varies each by half. A hub that restarts is back after a tenth
 * of a second, so the first attempts follow each other closely; a network may take minutes.
 */
const RECONNECT_DELAYS_MS = [60, 100, 150, 200, 250, 300, 400, 600, 1000, 1500, 2500, 4000, ...Array<number>(14).fill(7000)];

/** Connects to a room. Throws a ProblemError when that fails. */
export async function enterRoom(entry: Entry): Promise<CallSession> {
  const encryption = entry.passphrase === '' ? undefined : await startEncryption(entry.passphrase);
  const room = new Room({
    adaptiveStream: { pixelDensity: 'screen' },
    dynacast: true,
    reconnectPolicy: new DefaultReconnectPolicy(RECONNECT_DELAYS_MS),
    audioCaptureDefaults: audioOptions(entry.devices.microphone),
    videoCaptureDefaults: videoOptions(entry.devices.camera),
    ...(entry.devices.speaker === 'default' ? {} : { audioOutput: { deviceId: entry.devices.speaker } }),
    ...(encryption ? { encryption: { keyProvider: encryption.keyProvider, worker: encryption.worker } } : {}),
  });
  room.once(RoomEvent.Disconnected, () => encryption?.worker.terminate());
  keepDevices(room);
  const roster = new RoomRoster(room);
  const encryptionWatch = new EncryptionWatch(room, roster, encryption !== undefined);
  const chat = openChat(room, roster);
  tellEncryptedData(room.engine, (identity, decrypted) => {
    encryptionWatch.dataCame(identity, decrypted);
    if (!decrypted) chat.cannotRead({ identity, name: roster.nameOf(identity), mine: false });
  });
  let answered = false;
  room.once(RoomEvent.SignalConnected, () => {
    answered = true;
  });
  try {
    if (encryption) await room.setE2EEEnabled(true);
    await room.connect(entry.url, entry.token);
  } catch (error) {
    encryption?.worker.terminate();
    throw new ProblemError(explainConnect(error, entry.url, answered), error);
  }
  if (encryption) await encryptionInForce(room);
  return {
    room,
    token: entry.token,
    mayInvite: entry.mayInvite,
    cameBy: entry.cameBy,
    chat,
    roster,
    arrival: new Arrival(room),
    lowPower: new LowPower(room),
    encryption,
    encryptionWatch,
    publishing: publish(room, entry.takeTracks()),
  };
}

const ENCRYPTION_STARTS_WITHIN_MS = 5_000;

/** No media and no message may be sent before the worker has confirmed that it encrypts. */
async function encryptionInForce(room: Room): Promise<void> {
  const deadline = AbortSignal.timeout(ENCRYPTION_STARTS_WITHIN_MS);
  const inForce = await new Promise<boolean>((resolve) => {
    const look = () => {
      if (room.isE2EEEnabled) resolve(true);
    };
    look();
    room.on(RoomEvent.ParticipantEncryptionStatusChanged, look);
    deadline.addEventListener('abort', () => {
      resolve(false);
    });
  });
  if (inForce) return;
  await room.disconnect();
  throw new ProblemError(ENCRYPTION_FAILED);
}

/**
 * Publishes the devices that were opened before the call, and closes those that this person may not publish: of a token
 * that the hub gives, the page before the call knows nothing. If a device fails, the call goes on, and the failure is
 * returned as a problem.
 */
async function publish(room: Room, tracks: (LocalAudioTrack | LocalVideoTrack | undefined)[]): Promise<Problem[]> {
  const opened = tracks.filter((track) => track !== undefined);
  const allowed = opened.filter((track) => mayPublish(room.localParticipant.permissions, track.source));
  for (const track of opened) if (!allowed.includes(track)) track.stop();
  const problems = await Promise.all(allowed.map((track) => publishOne(room, track)));
  return problems.filter((problem) => problem !== undefined);
}

async function publishOne(room: Room, track: LocalAudioTrack | LocalVideoTrack): Promise<Problem | undefined> {
  try {
    await room.localParticipant.publishTrack(track);
    return undefined;
  } catch (error) {
    track.stop();
    return explainMedia(track.kind === Track.Kind.Audio ? 'microphone' : 'camera', error);
  }
}

async function startEncryption(passphrase: string): Promise<Encryption> {
  const { createEncryption } = await loadEncryption();
  return createEncryption(passphrase);
}
