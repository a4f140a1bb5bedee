import type { ApiError } from '../hub/api';
import { explainRefusal } from './hubProblem';
import type { Problem } from './problem';

/** Explains why signing in failed, by what the hub wrote into the address (docs/reference/http.md). */
export function explainSignIn(why: string): Problem {
  switch (why) {
    case 'denied':
      return {
        title: 'You were not signed in',
        text: 'Signing in was cancelled, or your account may not use this hub. Try again, or ask whoever runs the hub.',
      };
    case 'unavailable':
      return {
        title: 'Signing in does not work at the moment',
        text: 'The place where you sign in does not answer as it should. Try again in a moment.',
      };
    default:
      return {
        title: 'Signing in failed',
        text: 'Try again. If it stays so, whoever runs the hub can look with “lkhub logs serve”.',
      };
  }
}

/** Explains why the hub lets nobody begin to sign in. `https`: whether the page's own address begins with it. */
export function explainSignInRefusal(error: ApiError, https: boolean): Problem {
  if (error.status === 503) return { ...explainSignIn('unavailable'), detail: error.message };
  const problem = explainRefusal(error);
  if (error.status !== 403) return problem;
  return {
    ...problem,
    title: 'Signing in does not work at this address',
    text: https
      ? 'The hub does not take this address for its own: a proxy in front of it may hide it. Tell whoever runs the hub.'
      : 'It needs an address of the hub that begins with https. Open that one, or ask whoever runs the hub for it.',
  };
}

export const SESSION_ENDED: Problem = {
  title: 'You are signed out',
  text: 'You signed in a while ago, or the hub has forgotten it. Sign in again to join.',
};

/** Explains why the hub gives a person who is signed in no token. */
export function explainAccount(error: ApiError): Problem {
  const problem = explainRefusal(error);
  if (error.status !== 403) return problem;
  return {
    ...problem,
    title: 'Your account does not lead into this room',
    text: 'Ask whoever runs the hub, or ask whoever invited you for an invite.',
  };
}
