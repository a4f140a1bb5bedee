import { ExternalE2EEKeyProvider } from 'livekit-client';
import EncryptionWorker from 'livekit-client/e2ee-worker?worker';

/** End-to-end encryption of one call. The passphrase is used only for the key derivation here. */
export interface Encryption {
  keyProvider: ExternalE2EEKeyProvider;
  worker: Worker;
}

export async function createEncryption(passphrase: string): Promise<Encryption> {
  const keyProvider = new ExternalE2EEKeyProvider();
  await keyProvider.setKey(passphrase);
  return { keyProvider, worker: new EncryptionWorker() };
}
