import { UserPlus } from 'lucide-react';
import { useState } from 'react';

import { ApiError, makeInvite } from '../hub/api';
import type { InviteMade } from '../hub/contract';
import { inviteNote } from '../texts/callText';
import { hubUnreachable } from '../texts/hubProblem';
import { explainNoInvite } from '../texts/inviteProblem';
import type { Problem } from '../texts/problem';
import { Notice } from '../ui/Notice';
import { useCall } from './callContext';
import { CopyField } from './CopyField';

/** A link for others, which the hub makes when it is asked for. */
export function InviteField() {
  const { session } = useCall();
  const [invite, setInvite] = useState<InviteMade>();
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);

  const make = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      setInvite(await makeInvite(session.room.name, session.token));
    } catch (error) {
      setProblem(error instanceof ApiError ? explainNoInvite(error) : hubUnreachable(error));
    } finally {
      setBusy(false);
    }
  };
  if (invite) {
    return (
      <CopyField
        label="Invite for others"
        value={invite.link}
        note={inviteNote(new Date(invite.expires_at * 1000))}
        copied="The invite was copied."
        testId="invite"
      />
    );
  }
  return (
    <div className="field">
      <button
        type="button"
        className="button"
        data-testid="make-invite"
        disabled={busy}
        aria-busy={busy}
        onClick={() => void make()}
      >
        <UserPlus aria-hidden="true" />
        {busy ? 'One moment…' : 'Invite others'}
      </button>
      {problem && <Notice problem={problem} testId="invite-failed" />}
    </div>
  );
}
