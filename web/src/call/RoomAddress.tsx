import { joinPath } from '../lib/route';
import { ACCOUNT_NOTE, ADDRESS_NOTE, INVITED_NOTE, LINK_NOTE } from '../texts/callText';
import { useCall } from './callContext';
import { CopyField } from './CopyField';
import { InviteField } from './InviteField';

/**
 * How others can join. On a hub that gives tokens to everyone or to people with an account, the address of the room is
 * enough. Who may invite others gets a link for them, an invite. This person's own join link is never shown, because
 * its token is for one person: a second user of the link would disconnect its owner.
 */
export function RoomAddress() {
  const { session, hub } = useCall();
  const open = hub.tokens === 'open';
  if (!open && !hub.sign_in && !session.mayInvite) {
    return (
      <p className="room-address field-note" data-testid="link-note">
        {session.cameBy === 'invite' ? INVITED_NOTE : LINK_NOTE}
      </p>
    );
  }
  return (
    <div className="room-address">
      {(open || hub.sign_in) && (
        <CopyField
          label="Address of this room"
          value={location.origin + joinPath(session.room.name)}
          note={open ? ADDRESS_NOTE[hub.reach] : ACCOUNT_NOTE}
          copied="The address was copied."
          testId="address"
        />
      )}
      {!open && session.mayInvite && <InviteField />}
    </div>
  );
}
