import { CircleAlert, Info, X } from 'lucide-react';
import type { ReactNode } from 'react';

import type { Problem } from '../texts/problem';
import { Detail } from './Detail';

interface NoticeProps {
  problem: Problem;
  tone?: 'problem' | 'info';
  testId?: string;
  /** The live region announces it, so it has no role. */
  quiet?: boolean;
  onClose?: () => void;
  /** Buttons that do what the text suggests. */
  children?: ReactNode;
}

/** A message with what to do about it. */
export function Notice({ problem, tone = 'problem', testId = 'notice', quiet, onClose, children }: NoticeProps) {
  const Icon = tone === 'problem' ? CircleAlert : Info;
  return (
    <div className="notice" data-tone={tone} data-testid={testId} role={quiet ? undefined : tone === 'problem' ? 'alert' : 'status'}>
      <Icon aria-hidden="true" />
      <div>
        <strong>{problem.title}</strong>
        <p>{problem.text}</p>
        <Detail text={problem.detail} />
        {children && <div className="notice-actions">{children}</div>}
      </div>
      {onClose && (
        <button type="button" className="button icon" aria-label="Close this message" onClick={onClose}>
          <X aria-hidden="true" />
        </button>
      )}
    </div>
  );
}
