import { Check, Copy } from 'lucide-react';
import { useId, useRef, useState } from 'react';

import { joinPath } from '../lib/route';
import { ADDRESS_NOTE, LINK_NOTE } from '../texts/callText';
import { useCall } from './callContext';

/**
 * How others can join. On a hub that gives tokens to everyone, the address of the room is enough. This person's own
 * join link is never shown, because its token is for one person: a second user of the link would disconnect its owner.
 */
export function RoomAddress() {
  const { session, hub, announcer } = useCall();
  const [copied, setCopied] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  if (hub.tokens !== 'open') {
    return (
      <p className="room-address field-note" data-testid="link-note">
        {LINK_NOTE}
      </p>
    );
  }

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(address);
      setCopied(true);
      announcer.say('The address was copied.');
    } catch {
      // Forbidden, or a page without TLS: the address is selected, to be copied by hand.
      field.current?.select();
    }
  };
  const address = location.origin + joinPath(session.room.name);
  return (
    <div className="room-address field">
      <label htmlFor={id}>Address of this room</label>
      <div className="with-button">
        <input ref={field} id={id} data-testid="room-address" readOnly value={address} aria-describedby={`${id}-note`} />
        <button type="button" className="button" data-testid="copy-address" onClick={() => void copy()}>
          {copied ? <Check aria-hidden="true" /> : <Copy aria-hidden="true" />}
          {copied ? 'Copied' : 'Copy'}
        </button>
      </div>
      <p className="field-note" id={`${id}-note`}>
        {ADDRESS_NOTE[hub.reach]}
      </p>
    </div>
  );
}
