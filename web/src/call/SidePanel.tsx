import { X } from 'lucide-react';
import type { ReactNode } from 'react';

interface SidePanelProps {
  title: string;
  testId: string;
  onClose: () => void;
  children: ReactNode;
}

/** A panel beside the stage, or over it on a phone. Escape closes it; focus goes back to the button that opened it. */
export function SidePanel({ title, testId, onClose, children }: SidePanelProps) {
  return (
    <aside className="side-panel" aria-label={title} data-testid={testId}>
      <header>
        <h2>{title}</h2>
        <button
          type="button"
          className="button icon"
          data-testid="close-panel"
          aria-label={`Close: ${title}`}
          title="Close (Esc)"
          onClick={onClose}
        >
          <X aria-hidden="true" />
        </button>
      </header>
      {children}
    </aside>
  );
}
