import type { BaseE2EEManager } from 'livekit-client';
import { Encryption_Type } from 'livekit-client';
import { expect, test } from 'vitest';

import { tellEncryptedData } from './dataEncryption';

type Decrypted = Awaited<ReturnType<BaseE2EEManager['handleEncryptedData']>>;

/** Receives as RTCEngine does: decrypts, reads the payload, and emits the packet without another pause. */
class Engine {
  readonly seen: [string, unknown][] = [];
  e2eeManager = {
    handleEncryptedData: (payload: Uint8Array<ArrayBuffer>): Promise<Decrypted> =>
      payload.length > 0
        ? Promise.resolve({ payload, uuid: 'u' })
        : Promise.reject(new Error('wrong key')),
  } as unknown as BaseE2EEManager;

  emit(event: string, packet: string, type: unknown): boolean {
    if (event === 'dataPacketReceived') this.seen.push([packet, type]);
    return true;
  }

  plain(packet: string): void {
    this.emit('dataPacketReceived', packet, Encryption_Type.NONE);
  }

  async encrypted(packet: string, says = Encryption_Type.NONE): Promise<void> {
    const bytes = new TextEncoder().encode(packet);
    const { payload } = await this.e2eeManager.handleEncryptedData(bytes, bytes, 'bob', 0);
    this.emit('dataPacketReceived', new TextDecoder().decode(payload), says);
  }
}

test('what was decrypted here is encrypted, whatever its sender wrote; all else is not', async () => {
  const engine = new Engine();
  tellEncryptedData(engine, () => undefined);
  const first = engine.encrypted('secret');
  engine.plain('open');
  await first;
  engine.plain('behind it');
  await Promise.all([engine.encrypted('a', Encryption_Type.GCM), engine.encrypted('b')]);
  engine.emit('dataPacketReceived', 'lies', Encryption_Type.GCM);
  expect(engine.seen).toEqual([
    ['open', Encryption_Type.NONE],
    ['secret', Encryption_Type.GCM],
    ['behind it', Encryption_Type.NONE],
    ['a', Encryption_Type.GCM],
    ['b', Encryption_Type.GCM],
    ['lies', Encryption_Type.NONE],
  ]);
});

test('a payload that turns out to be no packet vouches for nothing', async () => {
  const engine = new Engine();
  tellEncryptedData(engine, () => undefined);
  const bytes = new TextEncoder().encode('broken');
  const read = (await engine.e2eeManager.handleEncryptedData(bytes, bytes, 'bob', 0)).payload;
  expect(read).toBe(bytes);
  await Promise.resolve();
  engine.plain('next');
  expect(engine.seen).toEqual([['next', Encryption_Type.NONE]]);
});

test('what can and what can’t be decrypted is told, with whom it is from', async () => {
  const engine = new Engine();
  const told: [string, boolean][] = [];
  tellEncryptedData(engine, (...data) => told.push(data));
  await expect(engine.encrypted('')).rejects.toThrow('wrong key');
  await engine.encrypted('good');
  expect(told).toEqual([
    ['bob', false],
    ['bob', true],
  ]);
});

test('without a passphrase encrypted data is told too, and nothing is encrypted', async () => {
  const engine = new Engine();
  const told: [string, boolean][] = [];
  const plain = { e2eeManager: undefined as BaseE2EEManager | undefined, emit: engine.emit.bind(engine) };
  tellEncryptedData(plain, (...data) => told.push(data));
  const bytes = new Uint8Array(1);
  await expect(plain.e2eeManager?.handleEncryptedData(bytes, bytes, 'bob', 0)).rejects.toThrow('no passphrase');
  expect(told).toEqual([['bob', false]]);
  expect(plain.e2eeManager?.isDataChannelEncryptionEnabled).toBe(false);
});
