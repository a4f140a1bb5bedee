import { Check, Copy } from 'lucide-react';
import { useId, useRef, useState } from 'react';

import { useCall } from './callContext';

interface CopyFieldProps {
  label: string;
  value: string;
  note: string;
  /** What is announced once it was copied. */
  copied: string;
  /** `room-ID` is the field, `copy-ID` the button. */
  testId: string;
}

/** A text to copy. */
export function CopyField({ label, value, note, copied, testId }: CopyFieldProps) {
  const { announcer } = useCall();
  const [done, setDone] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setDone(true);
      announcer.say(copied);
    } catch {
      // Forbidden, or a page without TLS: the text is selected, to be copied by hand.
      field.current?.select();
    }
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <div className="with-button">
        <input ref={field} id={id} data-testid={`room-${testId}`} readOnly value={value} aria-describedby={`${id}-note`} />
        <button type="button" className="button" data-testid={`copy-${testId}`} onClick={() => void copy()}>
          {done ? <Check aria-hidden="true" /> : <Copy aria-hidden="true" />}
          {done ? 'Copied' : 'Copy'}
        </button>
      </div>
      <p className="field-note" id={`${id}-note`}>
        {note}
      </p>
    </div>
  );
}
