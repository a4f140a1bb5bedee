import { ConnectionError, ConnectionErrorReason } from 'livekit-client';

import { NEW_LINK, roomFull } from './hubProblem';
import type { Problem } from './problem';
import { messageOf } from './problem';

export const LINK_NEEDED: Problem = {
  title: 'A join link is needed',
  text:
    'This hub lets people in by join links and invites only, and this address has none. Open the whole link that you were sent: ' +
    'it has a # in it. If you have opened it before, the tab that held it is gone: open the link again. If you have no ' +
    'link, ask whoever invited you, or whoever runs this hub.',
};

export const LINK_DAMAGED: Problem = {
  title: 'This join link is damaged',
  text: 'What follows the # is not a join token. Copy the whole link again, to its very end.',
};

export const ENCRYPTION_FAILED: Problem = {
  title: 'Encryption did not start',
  text: 'You were not let in unencrypted. Reload the page and try again, or use another browser.',
};

export function linkExpired(expiredAt: Date): Problem {
  const when = expiredAt.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  return { title: 'This join link has expired', text: `It was good until ${when}. ${NEW_LINK}` };
}

export function wrongRoom(room: string, tokenRoom: string): Problem {
  return {
    title: 'This link is for another room',
    text: `It lets you into “${tokenRoom}”, not into “${room}”.`,
  };
}

/**
 * Explains why livekit-client could not connect with a token. `answered`: whether the hub had already accepted this
 * person.
 */
export function explainConnect(error: unknown, url: string, answered: boolean): Problem {
  const detail = messageOf(error);
  if (!(error instanceof ConnectionError))
    return { title: 'Joining failed', text: 'Reload the page and try again.', detail };
  switch (error.reason) {
    case ConnectionErrorReason.NotAllowed:
      if (error.status === 404) {
        return {
          title: 'This room is not open',
          text:
            'On this hub rooms are opened by whoever runs it. Ask them to type “lkhub rooms create ROOM” with the name of ' +
            'this room, then join again.',
          detail,
        };
      }
      return {
        title: 'The hub refused this join link',
        text: `It has expired, or the hub has new keys since it was made. ${NEW_LINK}`,
        detail,
      };
    case ConnectionErrorReason.LeaveRequest:
      return { ...roomFull(detail), title: 'The hub turned you away' };
    case ConnectionErrorReason.WebSocket:
      // The hub accepted the token but closed the connection: a full room looks like this.
      return {
        title: 'The hub did not take you in',
        text:
          'It accepted your link, then closed the connection: the room is probably full, or the hub was restarting. Try ' +
          'again in a moment, or when someone has left.',
        detail,
      };
    case ConnectionErrorReason.ServerUnreachable:
    case ConnectionErrorReason.ServiceNotFound:
      return noAnswer(url, detail);
    default:
      if (!answered) return error.reason === ConnectionErrorReason.Timeout ? noAnswer(url, detail) : brokenOff(detail);
      return {
        title: 'No path for sound and picture',
        text:
          'The hub let you in, but neither UDP nor TCP nor the relay got media through: a firewall between you and the hub is ' +
          'likely. Try another network; whoever runs the hub can look with “lkhub verify”.',
        detail,
      };
  }
}

function noAnswer(url: string, detail: string): Problem {
  return {
    title: 'The call server does not answer',
    text:
      `This page loads, but ${url} does not answer from here. It may be restarting: try again in a moment. If it stays ` +
      'so, whoever runs the hub can look with “lkhub status”.',
    detail,
  };
}

function brokenOff(detail: string): Problem {
  return {
    title: 'The call server broke off',
    text: 'It ended the connection before you were in: it may be restarting. Try again in a moment.',
    detail,
  };
}
