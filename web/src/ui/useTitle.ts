import { useEffect } from 'react';

/** Names the tab after what it shows. */
export function useTitle(title: string, hubName: string | undefined): void {
  useEffect(() => {
    document.title = `${title} · ${hubName ?? 'lkhub'}`;
  }, [title, hubName]);
}
