import { useSyncExternalStore } from 'react';

import { useCall } from './callContext';

/** The one place from which a screen reader hears what happens in a call. */
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
