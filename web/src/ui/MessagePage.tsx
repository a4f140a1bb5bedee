import type { ReactNode } from 'react';

import type { Problem } from '../texts/problem';
import { Detail } from './Detail';
import { Page } from './Page';
import { useTitle } from './useTitle';

interface MessagePageProps {
  hubName: string | undefined;
  problem: Problem;
  testId: string;
  icon?: ReactNode;
  children?: ReactNode;
}

/** A page that has one thing to say. */
export function MessagePage({ hubName, problem, testId, icon, children }: MessagePageProps) {
  useTitle(problem.title, hubName);
  return (
    <Page hubName={hubName}>
      <section className="card verdict" data-testid={testId} role="status">
        {icon && <div className="verdict-icon">{icon}</div>}
        <h1>{problem.title}</h1>
        <p>{problem.text}</p>
        <Detail text={problem.detail} />
        {children && <div className="actions">{children}</div>}
      </section>
    </Page>
  );
}
