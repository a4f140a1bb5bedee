import { isE2EESupported } from 'livekit-client';
import { ChevronDown, Eye, EyeOff, Lock } from 'lucide-react';
import { useId, useState } from 'react';

interface EncryptionFieldProps {
  passphrase: string;
  onPassphrase: (passphrase: string) => void;
}

// Keys are derived by crypto.subtle, which a page has only with TLS or on this machine.
const POSSIBLE = window.isSecureContext && isE2EESupported();

/** Optional end-to-end encryption: everyone types the same passphrase. */
export function EncryptionField({ passphrase, onPassphrase }: EncryptionFieldProps) {
  const [open, setOpen] = useState(passphrase !== '');
  const [visible, setVisible] = useState(false);
  const id = useId();

  return (
    <details
      className="encryption"
      open={open}
      onToggle={(event) => {
        setOpen(event.currentTarget.open);
      }}
    >
      <summary data-testid="encryption-toggle">
        <Lock aria-hidden="true" /> End-to-end encryption
        <span className="state">{passphrase === '' ? 'off' : 'on'}</span>
        <ChevronDown className="chevron" aria-hidden="true" />
      </summary>
      {POSSIBLE ? (
        <div className="field">
          <label htmlFor={id}>Passphrase</label>
          <div className="with-button">
            <input
              id={id}
              data-testid="passphrase-input"
              type={visible ? 'text' : 'password'}
              value={passphrase}
              // Not an account: a password manager should not offer to save it.
              autoComplete="off"
              spellCheck={false}
              aria-describedby={`${id}-note`}
              onChange={(event) => {
                onPassphrase(event.target.value);
              }}
            />
            <button
              type="button"
              className="button icon"
              aria-label={visible ? 'Hide the passphrase' : 'Show the passphrase'}
              aria-pressed={visible}
              onClick={() => {
                setVisible(!visible);
              }}
            >
              {visible ? <EyeOff aria-hidden="true" /> : <Eye aria-hidden="true" />}
            </button>
          </div>
          <p className="field-note" id={`${id}-note`}>
            Sound, picture and chat are encrypted between the participants; the hub can’t read them. Everyone needs the
            same passphrase: tell it to them by another way. It never leaves this page and isn’t saved.
          </p>
        </div>
      ) : (
        <p className="field-note" data-testid="encryption-impossible">
          {window.isSecureContext
            ? 'This browser can’t encrypt calls. A current Chromium, Firefox or Safari can.'
            : 'Browsers encrypt calls only on pages whose address begins with https://, or on the hub’s own machine.'}
        </p>
      )}
    </details>
  );
}
