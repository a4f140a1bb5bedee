import type { DisconnectReason } from 'livekit-client';
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';

import type { CallSession } from '../call/session';
import { enterRoom } from '../call/session';
import type { Hub } from '../hub/contract';
import { ApiError } from '../hub/api';
import type { Admission } from '../lib/admission';
import { requestGrant } from '../lib/admission';
import { readClaims } from '../lib/claims';
import { store } from '../lib/navigation';
import { part, PartMissingError } from '../lib/part';
import { Preview } from '../media/preview';
import { explainRefusal, hubUnreachable } from '../texts/hubProblem';
import { explainInvite } from '../texts/inviteProblem';
import { explainLeft } from '../texts/leftReason';
import type { Problem } from '../texts/problem';
import { messageOf, ProblemError } from '../texts/problem';
import { explainAccount } from '../texts/signInProblem';
import { InviteRefused } from './InviteRefused';
import { LeftPage } from './LeftPage';
import type { Wish } from './PreJoin';
import { PreJoin } from './PreJoin';

const loadCall = part(() => import('../call/Call'));
const Call = lazy(loadCall);

interface VisitProps {
  hub: Hub;
  room: string;
  admission: Admission;
  /** The hub does not know this person any more. */
  onSignedOut?: () => void;
}

type Phase =
  | { at: 'prejoin' }
  | { at: 'refused'; problem: Problem }
  | { at: 'call'; session: CallSession } | { at: 'left'; problem: Problem; unsent: string[] };

/** One person's visit of a room: pre-join, call, and the page after it. */
export function Visit({ hub, room, admission, onSignedOut }: VisitProps) {
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
      const grant = await askForGrant(admission, hub, room, wish.name);
      const claims = readClaims(grant.token);
      const entered = await enterRoom({
        ...grant,
        mayInvite: claims?.mayInvite === true,
        cameBy: admission.by,
        devices: wish.devices,
        passphrase: wish.passphrase,
        takeTracks: () => [preview.microphone.release(), preview.camera.release()],
      });
      session.current = entered;
      if (claims?.mayRename) void entered.room.localParticipant.setName(wish.name);
      setPhase({ at: 'call', session: entered });
    } catch (error) {
      const refusal = admission.by === 'invite' ? explainInvite(error) : undefined;
      if (refusal) setPhase({ at: 'refused', problem: refusal });
      else if (admission.by === 'account' && error instanceof ApiError && error.status === 401) onSignedOut?.();
      else setProblem(explainJoin(error, admission.by));
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
          admission={admission}
          preview={preview}
          passphrase={passphrase}
          onPassphrase={setPassphrase}
          problem={problem}
          busy={busy}
          onJoin={(wish) => void join(wish)}
        />
      );
    case 'refused':
      return <InviteRefused hub={hub} room={room} problem={phase.problem} />;
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

function explainJoin(error: unknown, by: Admission['by']): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof PartMissingError) return hubUnreachable(error.cause);
  if (error instanceof ApiError) return by === 'account' ? explainAccount(error) : explainRefusal(error);
  return { title: 'Joining failed', text: 'Reload the page and try again.', detail: messageOf(error) };
}

async function askForGrant(admission: Admission, hub: Hub, room: string, name: string) {
  try {
    return await requestGrant(admission, hub, room, name, store);
  } catch (error) {
    throw error instanceof ApiError ? error : new ProblemError(hubUnreachable(error), error);
  }
}
