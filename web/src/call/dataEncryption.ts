import type { BaseE2EEManager } from 'livekit-client';
import { Encryption_Type } from 'livekit-client';

/** The part of livekit-client's engine that is needed here. */
export interface DataEngine {
  e2eeManager: BaseE2EEManager | undefined;
  // Typed per event; every event is forwarded.
  emit: unknown;
}

type Emit = (event: string, ...args: unknown[]) => boolean;

const RECEIVED = 'dataPacketReceived';

/**
 * Makes livekit-client report which data arrived encrypted, and from which sender.
 *
 * livekit-client only forwards what the sender's packet says about that, and its own packets say nothing (2.23.0,
 * RTCEngine.ts, `sendDataPacket`): encrypted and plain text look alike, and a plain part in an encrypted stream is
 * accepted. So what counts is whether a packet was decrypted here. The engine reads the decrypted payload and emits the
 * packet without a pause (`handleDataMessage`), so the packet that follows the reading is the decrypted one.
 */
export function tellEncryptedData(engine: DataEngine, onData: (identity: string, decrypted: boolean) => void): void {
  const manager = engine.e2eeManager;
  if (!manager) {
    engine.e2eeManager = withoutPassphrase((identity) => {
      onData(identity, false);
    });
    return;
  }
  let justDecrypted = false;

  const decrypt = manager.handleEncryptedData.bind(manager);
  manager.handleEncryptedData = async (...packet) => {
    const identity = packet[2];
    const { payload, ...rest } = await decrypt(...packet).catch((error: unknown) => {
      onData(identity, false);
      throw error;
    });
    onData(identity, true);
    return {
      ...rest,
      get payload() {
        justDecrypted = true;
        queueMicrotask(() => {
          justDecrypted = false;
        });
        return payload;
      },
    };
  };

  const emit = (engine.emit as Emit).bind(engine);
  engine.emit = (event: string, ...args: unknown[]) => {
    if (event !== RECEIVED) return emit(event, ...args);
    const type = justDecrypted ? Encryption_Type.GCM : Encryption_Type.NONE;
    justDecrypted = false;
    return emit(event, args[0], type);
  };
}

/**
 * Takes the place of the engine's encryption when there is no passphrase, and reports whose data is encrypted:
 * otherwise the engine would drop the data silently. It encrypts nothing.
 */
function withoutPassphrase(onData: (identity: string) => void): BaseE2EEManager {
  const manager: Pick<BaseE2EEManager, 'isDataChannelEncryptionEnabled' | 'handleEncryptedData'> = {
    isDataChannelEncryptionEnabled: false,
    handleEncryptedData: (_payload, _iv, identity) => {
      onData(identity);
      return Promise.reject(new Error('there is no passphrase'));
    },
  };
  return manager as BaseE2EEManager;
}
