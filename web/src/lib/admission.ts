import { ApiError, fetchSession, redeemInvite, requestToken } from '../hub/api';
import type { Hub } from '../hub/contract';
import type { Claims } from './claims';
import type { TokenStore } from './joinLink';
import { tabKey } from './joinLink';

/** By what a person may join: a join link, an invite, an account of the OpenID provider, or a hub that asks for nothing. */
export type Admission =
  | { by: 'link'; token: string; claims: Claims }
  | { by: 'invite'; secret: string }
  | { by: 'account'; name: string }
  | { by: 'open' };

/** The token for joining, and the URL of LiveKit. Throws an ApiError where the hub refuses it. */
export async function requestGrant(
  admission: Admission,
  hub: Hub,
  room: string,
  name: string,
  store: TokenStore,
): Promise<{ token: string; url: string }> {
  switch (admission.by) {
    case 'link':
      return { token: admission.token, url: hub.livekit_url };
    case 'invite':
      return redeemInvite(admission.secret, room, tabKey(store), name);
    case 'account':
      // Where everyone gets tokens, a person whose session has ended would get one of a guest: without the account's
      // name and role, and none for a room that is for certain roles.
      if (hub.tokens === 'open' && !(await fetchSession()).signed_in) throw new ApiError(401, 'nobody is signed in');
      return requestToken(room, name);
    case 'open':
      return requestToken(room, name);
  }
}
