import { Lock, LockOpen, TriangleAlert } from 'lucide-react';
import type { SubmitEvent } from 'react';
import { useEffect, useId, useRef, useState } from 'react';

import type { EncryptionStatus } from '../texts/encryptionText';
import { encryptionText } from '../texts/encryptionText';
import { Popover } from '../ui/Popover';
import { useCall } from './callContext';
import type { EncryptionState } from './encryptionContext';
import { useEncryption } from './encryptionContext';

/** Shows whether the call is encrypted end to end, and why some people can't decrypt each other's media. */
export function EncryptionBadge() {
  const { announcer } = useCall();
  const encryption = useEncryption();
  const [status, others] = statusOf(encryption);
  const { label, text } = encryptionText(status, others);
  const Icon = ICONS[status];

  const told = useRef<EncryptionStatus>(undefined);
  useEffect(() => {
    if (status === told.current) return;
    told.current = status;
    if (status === 'mismatch' || status === 'locked-out') announcer.say(`${label}. ${text}`);
  }, [status, label, text, announcer]);

  return (
    <Popover
      label="End-to-end encryption"
      side="below"
      buttonClass="badge"
      buttonTitle={text}
      testId="encryption"
      data={{ 'data-state': status }}
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

const ICONS: Record<EncryptionStatus, typeof Lock> = {
  off: LockOpen,
  on: Lock,
  mismatch: TriangleAlert,
  'locked-out': TriangleAlert,
};

function statusOf({ mine, undecodable, unreadable, foreign }: EncryptionState): [EncryptionStatus, number] {
  const mismatched = new Set([...undecodable, ...unreadable]).size;
  if (mismatched > 0) return ['mismatch', mismatched];
  if (foreign.size > 0) return ['locked-out', foreign.size];
  return [mine ? 'on' : 'off', 0];
}
