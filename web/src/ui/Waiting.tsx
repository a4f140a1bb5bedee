import { useEffect, useState } from 'react';

import { Page } from './Page';

/** Longer than a hub takes that restarts: what is waited for now is no moment any more. */
const LONG_MS = 10_000;
const LONG = 'This takes long: the hub may be restarting, or the network is slow. The page goes on by itself.';

/** A part of the page is being loaded. While the hub's service restarts, its connections wait for it. */
export function Waiting({ hubName }: { hubName: string | undefined }) {
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => {
      setLong(true);
    }, LONG_MS);
    return () => {
      clearTimeout(timer);
    };
  }, []);
  return (
    <Page hubName={hubName}>
      <p className="waiting" role="status" data-testid="waiting">
        <span className="spinner" aria-hidden="true" />
        {long ? LONG : 'One moment…'}
      </p>
    </Page>
  );
}
