import type { ApiError } from '../hub/api';
import type { Problem } from './problem';
import { messageOf } from './problem';

export const NEW_LINK = 'Ask whoever invited you for a new join link.';

export const PARTS_MISSING: Problem = {
  title: 'A part of this page is missing',
  text: 'The hub answers, and may have been updated since this page was opened. Reload the page to go on.',
};

export function hubUnreachable(error: unknown): Problem {
  return {
    title: 'The hub does not answer',
    text: 'It may be restarting, or your network does not reach it. Try again in a moment.',
    detail: messageOf(error),
  };
}

/** The same on a page that only waits for the hub. */
export function hubAwaited(error: unknown): Problem {
  return {
    ...hubUnreachable(error),
    text: 'It may be restarting, or your network does not reach it. This page asks again by itself until it is back.',
  };
}

/** Explains a refusal of the hub's token endpoint. */
export function explainRefusal(error: ApiError): Problem {
  const detail = [error.message, error.hint].filter(Boolean).join(' ');
  switch (error.status) {
    case 401:
    case 403:
      return { title: 'The hub did not let you in', text: `It wants a join link here. ${NEW_LINK}`, detail };
    case 409:
      return roomFull(detail);
    case 400:
    case 404:
    case 413:
    case 422:
      return { title: 'The hub does not accept this', text: 'Check the room’s name and your own name.', detail };
    case 421:
      return {
        title: 'The hub does not know this address',
        text: 'It answers only under its own names. Use the web address that “lkhub up” printed.',
        detail,
      };
    case 429:
      return { title: 'Too many attempts', text: `Wait ${waitText(error.retryAfter)}, then try again.`, detail };
    default:
      return {
        title: 'The hub failed',
        text: 'Try again in a moment. If it stays so, tell whoever runs the hub.',
        detail,
      };
  }
}

export function roomFull(detail: string): Problem {
  return { title: 'The room is full', text: 'Wait until someone leaves, then try again.', detail };
}

function waitText(seconds: number | undefined): string {
  if (seconds === undefined) return 'a moment';
  return seconds < 90 ? `${Math.ceil(seconds)} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}
