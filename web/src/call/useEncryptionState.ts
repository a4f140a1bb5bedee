import { useCallback, useMemo, useSyncExternalStore } from 'react';

import type { IdentitySet } from '../lib/identitySet';
import type { EncryptionState } from './encryptionContext';
import type { CallSession } from './session';

export function useEncryptionState({ encryption, encryptionWatch }: CallSession): EncryptionState {
  const undecodable = useIdentities(encryptionWatch.undecodable);
  const unreadable = useIdentities(encryptionWatch.unreadable);
  const foreign = useIdentities(encryptionWatch.encrypting);

  const changePassphrase = useCallback(
    async (passphrase: string) => {
      await encryption?.keyProvider.setKey(passphrase);
      encryptionWatch.passphraseChanged();
    },
    [encryption, encryptionWatch],
  );

  return useMemo(
    () => ({ mine: encryption !== undefined, undecodable, unreadable, foreign, changePassphrase }),
    [encryption, undecodable, unreadable, foreign, changePassphrase],
  );
}

function useIdentities(set: IdentitySet): ReadonlySet<string> {
  return useSyncExternalStore(set.subscribe, set.snapshot);
}
