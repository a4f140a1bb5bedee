import type { ReactNode } from 'react';
import { Component } from 'react';

import { messageOf } from '../texts/problem';
import { MessagePage } from './MessagePage';

interface SafetyState {
  error: unknown;
}

/** The last net: a page that breaks says so. After a hub's update, an open page may miss the parts it has not loaded yet. */
export class Safety extends Component<{ children: ReactNode }, SafetyState> {
  override state: SafetyState = { error: undefined };

  static getDerivedStateFromError(error: unknown): SafetyState {
    return { error };
  }

  override render(): ReactNode {
    if (this.state.error === undefined) return this.props.children;
    const problem = {
      title: 'This page broke',
      text: 'The hub may have been updated meanwhile. Reload the page to go on.',
      detail: messageOf(this.state.error),
    };
    return (
      <MessagePage hubName={undefined} problem={problem} testId="broken">
        <button
          type="button"
          className="button primary"
          onClick={() => {
            location.reload();
          }}
        >
          Reload
        </button>
      </MessagePage>
    );
  }
}
