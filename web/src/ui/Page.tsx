import type { ReactNode } from 'react';

import { Logo } from './Logo';

interface PageProps {
  hubName: string | undefined;
  children: ReactNode;
  /** A page with two columns wants more room than one with a few words. */
  wide?: boolean;
}

/** The frame of every page but the call. */
export function Page({ hubName, children, wide }: PageProps) {
  return (
    <div className="page" data-wide={wide === true}>
      <header className="page-header">
        <a className="brand" href="/">
          <Logo />
          <span>{hubName ?? 'lkhub'}</span>
        </a>
      </header>
      <main>{children}</main>
    </div>
  );
}
