import { useState } from 'react';

import { signOut } from '../hub/api';
import { messageOf } from '../texts/problem';

/** Who is signed in, and the way out. */
export function AccountField({ name }: { name: string }) {
  const [failure, setFailure] = useState('');
  const leave = async () => {
    try {
      await signOut();
      location.reload();
    } catch (error) {
      setFailure(messageOf(error));
    }
  };
  return (
    <div className="account" data-testid="account">
      <p className="field-note">{name === '' ? 'You are signed in.' : `Signed in as ${name}.`}</p>
      <button type="button" className="button" data-testid="sign-out" onClick={() => void leave()}>
        Sign out
      </button>
      {failure !== '' && (
        <p className="field-note error" role="alert">
          Signing out failed: {failure}
        </p>
      )}
    </div>
  );
}
