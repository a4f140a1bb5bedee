import { ApiError } from '../hub/api';
import { explainRefusal } from './hubProblem';
import type { Problem } from './problem';

const ASK = 'Ask whoever invited you for a new one.';

const ENDED: Record<string, Problem> = {
  'invite-unknown': {
    title: 'This invite is not known here',
    text: `The link may be cut off, or belongs to another room or another hub. Open the whole link again, or ask for a new one.`,
  },
  'invite-expired': { title: 'This invite has expired', text: ASK },
  'invite-used': {
    title: 'This invite was used up',
    text: `As many people have come by it as it was for. ${ASK}`,
  },
  'invite-revoked': { title: 'This invite was withdrawn', text: ASK },
};

/** Explains why an invite lets nobody in; undefined for a problem of another kind, after which it still may. */
export function explainInvite(error: unknown): Problem | undefined {
  return error instanceof ApiError && error.code !== undefined ? ENDED[error.code] : undefined;
}

/** Explains why the hub makes no invite for a person in a call. */
export function explainNoInvite(error: ApiError): Problem {
  const problem = explainRefusal(error);
  if (![401, 403, 422].includes(error.status)) return problem;
  return {
    ...problem,
    title: 'The hub made no invite',
    text: 'Leave, join again, and try once more. If it stays so, ask whoever runs the hub for an invite.',
  };
}
