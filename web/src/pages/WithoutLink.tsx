import type { Hub } from '../hub/contract';
import { findToken, forgetToken } from '../lib/joinLink';
import { navigate, store } from '../lib/navigation';
import { joinPath } from '../lib/route';

/** The way into the room that needs no join link, where the hub has one. Until the link is forgotten, this tab would
 * try it again. */
export function WithoutLink({ hub, room }: { hub: Hub; room: string }) {
  const without = hub.tokens === 'open' ? `Join “${room}” without the link` : hub.sign_in ? 'Sign in instead' : undefined;
  if (without === undefined || findToken(room, store) === undefined) return null;
  const goOn = () => {
    forgetToken(room, store);
    navigate(joinPath(room));
  };
  return (
    <button type="button" className="button" data-testid="without-link" onClick={goOn}>
      {without}
    </button>
  );
}
