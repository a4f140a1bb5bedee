import { LogIn } from 'lucide-react';
import { useState } from 'react';

import { ApiError, beginSignIn } from '../hub/api';
import type { Hub } from '../hub/contract';
import { useSession } from '../hub/useSession';
import { joinPath } from '../lib/route';
import { hubUnreachable } from '../texts/hubProblem';
import type { Problem } from '../texts/problem';
import { explainSignIn, explainSignInRefusal, SESSION_ENDED } from '../texts/signInProblem';
import { MessagePage } from '../ui/MessagePage';
import { Notice } from '../ui/Notice';
import { Page } from '../ui/Page';
import { Visit } from './Visit';

interface AccountGateProps {
  hub: Hub;
  room: string;
  signInProblem: string | undefined;
}

/**
 * The way in for people with an account: who is signed in goes on, everyone else may sign in, or join without an account
 * where the hub gives tokens to everyone. An account may lead into more rooms.
 */
export function AccountGate({ hub, room, signInProblem }: AccountGateProps) {
  const [session, retry] = useSession();
  const [ended, setEnded] = useState(false);
  const [guest, setGuest] = useState(false);

  if (guest) return <Visit hub={hub} room={room} admission={{ by: 'open' }} />;
  if (session.is === 'loading') {
    return (
      <Page hubName={hub.name}>
        <p className="waiting" role="status">
          <span className="spinner" aria-hidden="true" />
          One moment…
        </p>
      </Page>
    );
  }
  if (session.is === 'unknown') {
    return (
      <MessagePage hubName={hub.name} problem={session.problem} testId="session-problem">
        <button type="button" className="button primary" data-testid="retry" onClick={retry}>
          Try again
        </button>
      </MessagePage>
    );
  }
  if (session.signedIn && !ended) {
    const signedOut = () => {
      setEnded(true);
    };
    return (
      <Visit hub={hub} room={room} admission={{ by: 'account', name: session.name }} onSignedOut={signedOut} />
    );
  }
  const before = ended ? SESSION_ENDED : signInProblem === undefined ? undefined : explainSignIn(signInProblem);
  const asGuest = () => {
    setGuest(true);
  };
  return <SignInPage hub={hub} room={room} before={before} onGuest={hub.tokens === 'open' ? asGuest : undefined} />;
}

interface SignInPageProps {
  hub: Hub;
  room: string;
  /** What happened to an earlier attempt. */
  before: Problem | undefined;
  /** Undefined where nobody joins without an account. */
  onGuest: (() => void) | undefined;
}

/** Before a person signs in. */
function SignInPage({ hub, room, before, onGuest }: SignInPageProps) {
  const [problem, setProblem] = useState(before);
  const [busy, setBusy] = useState(false);

  const signIn = async () => {
    setBusy(true);
    try {
      const { url } = await beginSignIn(joinPath(room));
      location.assign(url);
    } catch (error) {
      const https = location.protocol === 'https:';
      setProblem(error instanceof ApiError ? explainSignInRefusal(error, https) : hubUnreachable(error));
      setBusy(false);
    }
  };

  const title = {
    title: `Sign in to join “${room}”`,
    text: onGuest
      ? 'Some rooms are for people with an account alone.'
      : 'People with an account join here. Without one, ask whoever invited you for an invite or a join link.',
  };
  return (
    <MessagePage
      hubName={hub.name}
      problem={title}
      testId="sign-in-page"
      icon={<LogIn />}
      more={problem && <Notice problem={problem} testId="sign-in-problem" />}
    >
      <button
        type="button"
        className="button primary"
        data-testid="sign-in"
        disabled={busy}
        aria-busy={busy}
        onClick={() => void signIn()}
      >
        {busy ? 'One moment…' : 'Sign in'}
      </button>
      {onGuest && (
        <button type="button" className="button" data-testid="as-guest" onClick={onGuest}>
          Join without an account
        </button>
      )}
      <a className="button" href="/">
        To the start page
      </a>
    </MessagePage>
  );
}
