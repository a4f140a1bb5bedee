import { createContext, useContext } from 'react';

/** The participants whose data can't be decrypted, and the known reasons. */
export interface EncryptionState {
  /** Whether this person's own media are encrypted end to end. */
  mine: boolean;
  /** Identities whose media don't decrypt with this person's passphrase. */
  undecodable: ReadonlySet<string>;
  /** Identities that encrypt while this person has no passphrase. */
  foreign: ReadonlySet<string>;
  /** Identities whose messages and other data don't decrypt with this person's passphrase. */
  unreadable: ReadonlySet<string>;
  /** Tries another passphrase during the call. */
  changePassphrase: (passphrase: string) => Promise<void>;
}

export const EncryptionContext = createContext<EncryptionState | undefined>(undefined);

export function useEncryption(): EncryptionState {
  const state = useContext(EncryptionContext);
  if (!state) throw new Error('useEncryption outside of a call');
  return state;
}
