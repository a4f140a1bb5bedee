import { useState } from 'react';

import type { Hub } from '../hub/contract';
import { isExpired, readClaims } from '../lib/claims';
import { findInvite, findToken, forgetToken, keepToken } from '../lib/joinLink';
import { navigate, store } from '../lib/navigation';
import { joinPath } from '../lib/route';
import { LINK_DAMAGED, LINK_NEEDED, linkExpired, wrongRoom } from '../texts/joinProblem';
import { AccountGate } from './AccountGate';
import { Refused } from './Refused';
import { Visit } from './Visit';

interface JoinPageProps {
  hub: Hub;
  room: string;
  signInProblem: string | undefined;
}

/** `/join/{room}`: checks the join link as far as a page can; the hub decides. Without one there are other ways in. */
export default function JoinPage({ hub, room, signInProblem }: JoinPageProps) {
  const [invite] = useState(() => findInvite(room, store));
  const [token] = useState(() => findToken(room, store));
  const [expiryIgnored, setExpiryIgnored] = useState(false);
  // Read once: a link that expires during the call does not end the call.
  const [openedAt] = useState(() => Date.now());

  if (token === undefined) {
    if (invite !== undefined) return <Visit hub={hub} room={room} admission={{ by: 'invite', secret: invite }} />;
    if (hub.sign_in) return <AccountGate hub={hub} room={room} signInProblem={signInProblem} />;
    if (hub.tokens === 'open') return <Visit hub={hub} room={room} admission={{ by: 'open' }} />;
    return <Refused hub={hub} room={room} problem={LINK_NEEDED} />;
  }
  const claims = readClaims(token);
  if (!claims) return <Refused hub={hub} room={room} problem={LINK_DAMAGED} />;
  if (claims.room !== room) {
    const goThere = () => {
      forgetToken(room, store);
      keepToken(claims.room, token, store);
      navigate(joinPath(claims.room));
    };
    return (
      <Refused hub={hub} room={room} problem={wrongRoom(room, claims.room)}>
        <button type="button" className="button primary" data-testid="go-to-room" onClick={goThere}>
          Go to “{claims.room}”
        </button>
      </Refused>
    );
  }
  if (isExpired(claims, openedAt) && !expiryIgnored) {
    const ignore = () => {
      setExpiryIgnored(true);
    };
    return (
      <Refused hub={hub} room={room} problem={linkExpired(new Date((claims.expiresAt ?? 0) * 1000))}>
        <button type="button" className="button" data-testid="try-anyway" onClick={ignore}>
          My clock is wrong: try anyway
        </button>
      </Refused>
    );
  }
  return <Visit hub={hub} room={room} admission={{ by: 'link', token, claims }} />;
}
