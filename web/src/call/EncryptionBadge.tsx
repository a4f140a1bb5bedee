import { Lock, LockOpen, TriangleAlert } from 'lucide-react';
import type { SubmitEvent } from 'react';
import { useId, useState } from 'react';

import { Popover } from '../ui/Popover';
import type { EncryptionState } from './encryptionContext';
import { useEncryption } from './encryptionContext';

/** Says whether the call is encrypted end to end, and what stands in the way of understanding each other. */
export function EncryptionBadge() {
  const encryption = useEncryption();
  const { state, label, Icon, text } = describe(encryption);
  return (
    <Popover
      label="End-to-end encryption"
      side="below"
      buttonClass="badge"
      buttonTitle={text}
      testId="encryption"
      data={{ 'data-state': state }}
      button={
        <>
          <Icon aria-hidden="true" />
          <span>{label}</span>
        </>
      }
    >
      <h2>{label}</h2>
      <p>{text}</p>
      {encryption.mine && <PassphraseForm encryption={encryption} />}
    </Popover>
  );
}

function PassphraseForm({ encryption }: { encryption: EncryptionState }) {
  const [passphrase, setPassphrase] = useState('');
  const id = useId();
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    void encryption.changePassphrase(passphrase);
    setPassphrase('');
  };
  return (
    <form className="field" onSubmit={submit}>
      <label htmlFor={id}>Another passphrase</label>
      <div className="with-button">
        <input
          id={id}
          type="password"
          data-testid="change-passphrase-input"
          autoComplete="off"
          value={passphrase}
          onChange={(event) => {
            setPassphrase(event.target.value);
          }}
        />
        <button type="submit" className="button" data-testid="change-passphrase" disabled={passphrase === ''}>
          Use it
        </button>
      </div>
    </form>
  );
}

function describe({ mine, undecodable, foreign }: EncryptionState) {
  if (undecodable.size > 0) {
    return {
      state: 'mismatch',
      label: 'Other passphrase',
      Icon: TriangleAlert,
      text: `${people(undecodable.size)} here can’t be decrypted: your passphrases differ. Agree on one, and type it below.`,
    };
  }
  if (foreign.size > 0) {
    return {
      state: 'locked-out',
      label: 'No passphrase',
      Icon: TriangleAlert,
      text: `${people(foreign.size)} here use end-to-end encryption. To see and hear them, leave and join again with their passphrase.`,
    };
  }
  if (mine) {
    return {
      state: 'on',
      label: 'Encrypted',
      Icon: Lock,
      text: 'What you say, show and write is encrypted on this device. Only who has the passphrase can read it; the hub can’t.',
    };
  }
  return {
    state: 'off',
    label: 'Not end-to-end',
    Icon: LockOpen,
    text: 'The line to the hub is encrypted, but the hub itself could see and hear. For end-to-end encryption, leave and join with a passphrase.',
  };
}

function people(count: number): string {
  return count === 1 ? 'One person' : `${count} people`;
}
