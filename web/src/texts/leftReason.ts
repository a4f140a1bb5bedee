import { DisconnectReason } from 'livekit-client';

import type { Problem } from './problem';

/** The text that a person sees after a call has ended for them. */
export function explainLeft(reason: DisconnectReason | undefined): Problem {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return { title: 'You left the call', text: 'Nobody hears or sees you any more.' };
    case DisconnectReason.DUPLICATE_IDENTITY:
      return {
        title: 'You joined from somewhere else',
        text:
          'The same join link or account was used in another tab or on another device, and stands for one person: the newer ' +
          'one is in the call. Rejoin to take over here, or ask for a link of its own for the other device.',
      };
    case DisconnectReason.PARTICIPANT_REMOVED:
      return { title: 'You were removed from the call', text: 'Someone who runs this room took you out of it.' };
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return { title: 'The call was ended', text: 'The room was closed for everyone.' };
    case DisconnectReason.SERVER_SHUTDOWN:
      return { title: 'The hub shut down', text: 'It may be restarting: try again in a moment.' };
    case DisconnectReason.JOIN_FAILURE:
      return { title: 'Joining failed', text: 'The hub could not take you into the room. It may be full: try again.' };
    case DisconnectReason.MEDIA_FAILURE:
      return {
        title: 'Sound and picture broke off',
        text: 'The hub answers, but no media gets through any more. Your network may have changed: try again.',
      };
    case DisconnectReason.USER_UNAVAILABLE:
    case DisconnectReason.USER_REJECTED:
    case DisconnectReason.SIP_TRUNK_FAILURE:
    case DisconnectReason.AGENT_ERROR:
      return { title: 'The call was ended', text: 'The other side could not be reached or hung up.' };
    default:
      // STATE_MISMATCH, MIGRATION, SIGNAL_CLOSE, CONNECTION_TIMEOUT, UNKNOWN_REASON and none at all.
      return {
        title: 'The connection was lost',
        text: 'The hub did not come back in time: it may be down, or your network is. Your place in the call is free again.',
      };
  }
}
