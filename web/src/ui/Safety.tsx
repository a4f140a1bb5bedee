import type { ReactNode } from 'react';
import { Component } from 'react';

import { PartMissingError } from '../lib/part';
import { messageOf } from '../texts/problem';
import { ComingBack } from './ComingBack';
import { MessagePage } from './MessagePage';
import { ReloadButton } from './ReloadButton';

interface SafetyState {
  error: unknown;
}

/** The last error boundary: a page that breaks says so, and a page that can't load its parts waits for the hub. */
export class Safety extends Component<{ children: ReactNode }, SafetyState> {
  override state: SafetyState = { error: undefined };

  static getDerivedStateFromError(error: unknown): SafetyState {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    if (error instanceof PartMissingError) return <ComingBack error={error.cause} />;
    const problem = {
      title: 'This page broke',
      text: 'Reload it to go on. If it breaks again, tell whoever runs the hub what you did.',
      detail: messageOf(error),
    };
    return (
      <MessagePage hubName={undefined} problem={problem} testId="broken">
        <ReloadButton />
      </MessagePage>
    );
  }
}
