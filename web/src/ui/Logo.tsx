/** A hub and the people who meet there. */
export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" fill="var(--accent)" />
      <g stroke="var(--on-accent)" strokeWidth="2.2" strokeLinecap="round">
        <path d="M16 16V7.5M16 16l-7.4 4.6M16 16l7.4 4.6" />
      </g>
      <g fill="var(--on-accent)">
        <circle cx="16" cy="16" r="4.2" />
        <circle cx="16" cy="7" r="2.6" />
        <circle cx="8" cy="21" r="2.6" />
        <circle cx="24" cy="21" r="2.6" />
      </g>
    </svg>
  );
}
