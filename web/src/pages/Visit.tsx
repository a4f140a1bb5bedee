import type { DisconnectReason } from 'livekit-client';
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';

import type { CallSession } from '../call/session';
import { enterRoom } from '../call/session';
import type { Hub } from '../hub/contract';
import { ApiError, requestToken } from '../hub/api';
import type { Invitation } from '../lib/claims';
import { part, PartMissingError } from '../lib/part';
import { Preview } from '../media/preview';
import { explainRefusal, hubUnreachable } from '../texts/hubProblem';
import { explainLeft } from '../texts/leftReason';
import type { Problem } from '../texts/problem';
import { messageOf, ProblemError } from '../texts/problem';
import { LeftPage } from './LeftPage';
import type { Wish } from './PreJoin';
import { PreJoin } from './PreJoin';

const loadCall = part(() => import('../call/Call'));
const Call = lazy(loadCall);

interface VisitProps {
  hub: Hub;
  room: string;
  /** Omitted on a hub that gives tokens to its own page. */
  invitation: Invitation | undefined;
}

type Phase = { at: 'prejoin' } | { at: 'call'; session: CallSession } | { at: 'left'; problem: Problem; unsent: string[] };

/** One person's visit of a room: pre-join, call, and the page after it. */
export function Visit({ hub, room, invitation }: VisitProps) {
  const [phase, setPhase] = useState<Phase>({ at: 'prejoin' });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [passphrase, setPassphrase] = useState('');
  const [preview] = useState(() => new Preview());
  const session = useRef<CallSession>(undefined);

  useEffect(() => {
    // While the person chooses devices, the code of the call is loaded. If that fails now, it is loaded later.
    loadCall().catch(() => undefined);
    return () => {
      void session.current?.room.disconnect();
    };
  }, []);

  const join = async (wish: Wish) => {
    setBusy(true);
    setProblem(undefined);
    try {
      // Nobody joins a room while its page can't be shown.
      await loadCall();
      const grant = invitation ? { token: invitation.token, url: hub.livekit_url } : await askForToken(room, wish.name);
      const entered = await enterRoom({
        ...grant,
        devices: wish.devices,
        passphrase: wish.passphrase,
        takeTracks: () => [preview.microphone.release(), preview.camera.release()],
      });
      session.current = entered;
      if (invitation?.claims.mayRename) void entered.room.localParticipant.setName(wish.name);
      setPhase({ at: 'call', session: entered });
    } catch (error) {
      setProblem(explainJoin(error));
    } finally {
      setBusy(false);
    }
  };

  const onLeft = useCallback((reason: DisconnectReason | undefined) => {
    const unsent = session.current?.chat.unsent() ?? [];
    session.current = undefined;
    setPhase({ at: 'left', problem: explainLeft(reason), unsent });
  }, []);

  switch (phase.at) {
    case 'prejoin':
      return (
        <PreJoin
          hub={hub}
          room={room}
          invitation={invitation}
          preview={preview}
          passphrase={passphrase}
          onPassphrase={setPassphrase}
          problem={problem}
          busy={busy}
          onJoin={(wish) => void join(wish)}
        />
      );
    case 'call':
      return (
        <Suspense fallback={null}>
          <Call
            session={phase.session}
            hub={hub}
            onLeft={onLeft}
          />
        </Suspense>
      );
    case 'left':
      return (
        <LeftPage
          hub={hub}
          room={room}
          problem={phase.problem}
          unsent={phase.unsent}
          onRejoin={() => {
            setPhase({ at: 'prejoin' });
          }}
        />
      );
  }
}

function explainJoin(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof PartMissingError) return hubUnreachable(error.cause);
  return { title: 'Joining failed', text: 'Reload the page and try again.', detail: messageOf(error) };
}

async function askForToken(room: string, name: string): Promise<{ token: string; url: string }> {
  try {
    return await requestToken(room, name);
  } catch (error) {
    throw new ProblemError(error instanceof ApiError ? explainRefusal(error) : hubUnreachable(error), error);
  }
}
