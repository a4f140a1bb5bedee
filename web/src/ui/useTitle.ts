import { useEffect } from 'react';

/** Sets the title of the tab. */
export function useTitle(title: string, hubName: string | undefined): void {
  useEffect(() => {
    document.title = `${title} · ${hubName ?? 'lkhub'}`;
  }, [title, hubName]);
}
