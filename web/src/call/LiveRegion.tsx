import { useSyncExternalStore } from 'react';

import { useCall } from './callContext';

/** The only element from which screen readers read the events of a call. */
export function LiveRegion() {
  const { announcer } = useCall();
  const announcements = useSyncExternalStore(announcer.subscribe, announcer.snapshot);
  return (
    <div className="visually-hidden" role="status" aria-live="polite" data-testid="live-region">
      {announcements.map(({ key, text }) => (
        <p key={key}>{text}</p>
      ))}
    </div>
  );
}
