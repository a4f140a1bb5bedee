import { ExternalE2EEKeyProvider } from 'livekit-client';
import EncryptionWorker from 'livekit-client/e2ee-worker?worker';

/** End-to-end encryption of one call. The passphrase goes into the key derivation here and nowhere else. */
export interface Encryption {
  keyProvider: ExternalE2EEKeyProvider;
  worker: Worker;
}

export async function createEncryption(passphrase: string): Promise<Encryption> {
  const keyProvider = new ExternalE2EEKeyProvider();
  await keyProvider.setKey(passphrase);
  return { keyProvider, worker: new EncryptionWorker() };
}
