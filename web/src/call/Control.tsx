import type { ReactElement } from 'react';

interface ControlProps {
  testId: string;
  label: string;
  title: string;
  icon: ReactElement;
  onClick: (button: HTMLElement) => void;
  /** A switch says whether it is on; a plain button leaves this out. */
  pressed?: boolean;
  /** Off is what deserves attention: nobody hears or sees you. */
  off?: boolean;
  active?: boolean;
  danger?: boolean;
  disabled?: boolean;
  shortcut?: string;
  count?: number;
}

/** A button of the control bar. */
export function Control(props: ControlProps) {
  const { testId, label, title, icon, onClick, pressed, off, active, danger, disabled, shortcut, count = 0 } = props;
  return (
    <button
      type="button"
      className="control"
      data-testid={testId}
      data-off={off === true}
      data-active={active === true}
      data-danger={danger === true}
      aria-label={title.replace(/ \(\w\)$/, '')}
      aria-pressed={pressed}
      aria-keyshortcuts={shortcut}
      title={title}
      disabled={disabled}
      onClick={(event) => {
        onClick(event.currentTarget);
      }}
    >
      <span className="control-icon" aria-hidden="true">
        {icon}
        {count > 0 && (
          <span className="count" data-testid="unread">
            {count > 99 ? '99+' : count}
          </span>
        )}
      </span>
      <span className="control-label" aria-hidden="true">
        {label}
      </span>
    </button>
  );
}
