import type { ReactNode } from 'react';
import { useEffect, useRef } from 'react';

import type { Problem } from '../texts/problem';
import { Detail } from './Detail';
import { Page } from './Page';
import { useTitle } from './useTitle';

interface MessagePageProps {
  hubName: string | undefined;
  problem: Problem;
  testId: string;
  icon?: ReactNode;
  /** Below the text. */
  more?: ReactNode;
  children?: ReactNode;
}

/** A page with one message. It takes the focus, since the focused element is gone, so that the title is read out. */
export function MessagePage({ hubName, problem, testId, icon, more, children }: MessagePageProps) {
  useTitle(problem.title, hubName);
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    title.current?.focus();
  }, []);
  return (
    <Page hubName={hubName}>
      <section className="card verdict" data-testid={testId}>
        {icon && <div className="verdict-icon">{icon}</div>}
        <h1 ref={title} tabIndex={-1}>
          {problem.title}
        </h1>
        <p>{problem.text}</p>
        <Detail text={problem.detail} />
        {more}
        {children && <div className="actions">{children}</div>}
      </section>
    </Page>
  );
}
