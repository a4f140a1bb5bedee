import type { ReactNode } from 'react';
import { useEffect, useId, useRef, useState } from 'react';

interface PopoverProps {
  /** The content of the button. */
  button: ReactNode;
  buttonClass: string;
  buttonTitle: string;
  /** Set on the button. */
  testId: string;
  data?: Record<`data-${string}`, string>;
  label: string;
  /** Where the panel opens relative to the button. */
  side: 'below' | 'above';
  children: ReactNode;
}

/** A button that opens a small panel; Escape, a click elsewhere or focus moving on closes it. */
export function Popover({ button, buttonClass, buttonTitle, testId, data, label, side, children }: PopoverProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    const leave = (event: Event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      setOpen(false);
      trigger.current?.focus();
    };
    document.addEventListener('pointerdown', leave);
    document.addEventListener('focusin', leave);
    document.addEventListener('keydown', escape, true);
    return () => {
      document.removeEventListener('pointerdown', leave);
      document.removeEventListener('focusin', leave);
      document.removeEventListener('keydown', escape, true);
    };
  }, [open]);

  return (
    <div className="popover" ref={root}>
      <button
        ref={trigger}
        type="button"
        className={buttonClass}
        title={buttonTitle}
        data-testid={testId}
        {...data}
        aria-expanded={open}
        aria-controls={id}
        onClick={() => {
          setOpen(!open);
        }}
      >
        {button}
      </button>
      {open && (
        <div className="popover-panel" id={id} data-side={side} role="dialog" aria-label={label}>
          {children}
        </div>
      )}
    </div>
  );
}
