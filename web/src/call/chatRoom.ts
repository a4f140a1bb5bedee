import type { DataChannelKind, Encryption_Type as EncryptionType, RemoteParticipant, Room } from 'livekit-client';
import { ConnectionState, DataPacket_Kind, DisconnectReason, Encryption_Type, RoomEvent } from 'livekit-client';

import type { Author } from '../lib/chat';
import { Chat } from '../lib/chat';
import { displayName } from '../lib/displayName';
import { ALL_COME_BACK_MS } from '../lib/roster';
import type { RoomRoster } from './roomRoster';

/** The topics of LiveKit's components: text streams, and data packets for SDKs without streams. */
const TOPIC = 'lk.chat';
const LEGACY_TOPIC = 'lk-chat-topic';

const LOOK_AGAIN_MS = 50;

// The library exports the type alone.
const RELIABLE = DataPacket_Kind.RELIABLE as unknown as DataChannelKind;

interface LegacyMessage {
  id: string;
  timestamp?: number;
  message: string;
  /** The message came as a stream, too. */
  ignoreLegacy?: boolean;
}

/** The chat of a room, from before it is connected: no message is missed. */
export function openChat(room: Room, roster: RoomRoster): Chat {
  const chat = new Chat(
    { isOpen: () => room.state === ConnectionState.Connected, send: (id, text) => send(room, id, text) },
    () => ({ ...author(room, room.localParticipant.identity), mine: true }),
    () => crypto.randomUUID(),
  );
  const isPlain = (type: EncryptionType | undefined) => room.hasE2EESetup && type !== Encryption_Type.GCM;

  room.registerTextStreamHandler(TOPIC, (reader, { identity }) => {
    const { id, encryptionType } = reader.info;
    reader.readAll().then(
      (text) => {
        // The time of arrival; the sender's clock can't be trusted.
        chat.receive({ id, at: Date.now(), text, from: author(room, identity), plain: isPlain(encryptionType) });
      },
      // Its sender left in the middle, or it mixes encrypted and plain parts: it is no message.
      () => undefined,
    );
  });
  room.on(RoomEvent.DataReceived, (payload, participant, _kind, topic, encryptionType) => {
    if (topic !== LEGACY_TOPIC) return;
    const message = readLegacy(payload);
    if (!message || message.ignoreLegacy) return;
    const from = author(room, participant?.identity ?? '', participant);
    const plain = isPlain(encryptionType);
    chat.receive({ id: message.id, at: Date.now(), text: message.message, from, plain });
  });

  let anew = false;
  let patience: ReturnType<typeof setTimeout> | undefined;
  const lose = () => {
    clearTimeout(patience);
    chat.lost();
  };
  const goOn = () => {
    clearTimeout(patience);
    chat.back(anew);
    anew = false;
  };
  const goOnWhenAllAreBack = () => {
    if (chat.held() === undefined || room.state !== ConnectionState.Connected) return;
    if (!anew || roster.missing().length === 0) goOn();
  };
  room.on(RoomEvent.SignalReconnecting, lose);
  room.on(RoomEvent.Reconnecting, () => {
    anew = true;
    lose();
  });
  // A message that is sent before the others are back reaches none of them.
  room.on(RoomEvent.Reconnected, () => {
    if (anew) {
      chat.awaitOthers();
      patience = setTimeout(goOn, ALL_COME_BACK_MS);
    }
    goOnWhenAllAreBack();
  });
  roster.subscribe(goOnWhenAllAreBack);
  room.on(RoomEvent.Disconnected, (reason) => {
    clearTimeout(patience);
    // A person who is removed does not learn when the hub stopped receiving their messages.
    if (reason !== DisconnectReason.CLIENT_INITIATED) chat.lost();
  });
  return chat;
}

async function send(room: Room, id: string, text: string): Promise<void> {
  await untilSent(room);
  const writer = await room.localParticipant.streamText({ topic: TOPIC, streamId: id });
  await writer.write(text);
  await writer.close();
  const legacy: LegacyMessage = { id, timestamp: Date.now(), message: text, ignoreLegacy: true };
  const payload = new TextEncoder().encode(JSON.stringify(legacy));
  // For SDKs without streams. The others have the message already, so an error is ignored.
  await room.localParticipant.publishData(payload, { reliable: true, topic: LEGACY_TOPIC }).catch(() => undefined);
}

/**
 * Waits until livekit-client really sends. For a while after it reports a reconnect, it queues messages for a
 * resumption that never comes, and reports them as sent (2.23.0, ReliableDataChannel.ts, `send`; RTCEngine.ts,
 * `attemptReconnect`). Throws when the connection is lost meanwhile.
 */
async function untilSent(room: Room): Promise<void> {
  const engine = room.engine as unknown as { attemptingReconnect: boolean };
  while (engine.attemptingReconnect) {
    if (room.state !== ConnectionState.Connected) throw new Error('the connection is lost');
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  await room.engine.ensureDataTransportConnected(RELIABLE, false);
}

function author(room: Room, identity: string, known?: RemoteParticipant): Author {
  const participant = known ?? room.getParticipantByIdentity(identity);
  return { identity, name: displayName({ name: participant?.name, identity }), mine: false };
}

function readLegacy(payload: Uint8Array): LegacyMessage | undefined {
  try {
    const { id, message, ignoreLegacy } = JSON.parse(new TextDecoder().decode(payload)) as LegacyMessage;
    if (typeof id !== 'string' || typeof message !== 'string') return undefined;
    return { id, message, ignoreLegacy: ignoreLegacy === true };
  } catch {
    return undefined;
  }
}
