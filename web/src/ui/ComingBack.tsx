import { useEffect } from 'react';

import { useHub } from '../hub/useHub';
import { hubAwaited, PARTS_MISSING } from '../texts/hubProblem';
import { MessagePage } from './MessagePage';
import { ReloadButton } from './ReloadButton';

const RELOADED_KEY = 'lkhub.reloaded';
/** A reload this recently has not helped, so another one would not either. */
const AGAIN_MS = 20_000;

/**
 * Parts of the page did not load. A module that failed once stays failed until the page is reloaded. So the page
 * reloads as soon as the hub answers; its address opens the same place again.
 */
export function ComingBack({ error }: { error: unknown }) {
  const [hub] = useHub();
  const back = hub.is === 'known';
  useEffect(() => {
    if (back && mayReload()) location.reload();
  }, [back]);
  const problem = back ? PARTS_MISSING : hubAwaited(error);
  return (
    <MessagePage hubName={undefined} problem={problem} testId="coming-back">
      <ReloadButton />
    </MessagePage>
  );
}

function mayReload(): boolean {
  try {
    const last = Number(sessionStorage.getItem(RELOADED_KEY));
    if (Date.now() - last < AGAIN_MS) return false;
    sessionStorage.setItem(RELOADED_KEY, String(Date.now()));
    return true;
  } catch {
    // Storage is forbidden, so the page can't count its reloads.
    return false;
  }
}
