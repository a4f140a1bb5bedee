import { ChevronLeft, ChevronRight } from 'lucide-react';

interface PagerProps {
  page: number;
  pages: number;
  onPrevious: () => void;
  onNext: () => void;
}

/** Pages through the participants if not all fit at once. */
export function Pager({ page, pages, onPrevious, onNext }: PagerProps) {
  if (pages < 2) return null;
  return (
    <nav className="pager" aria-label="Pages of participants" data-testid="pager">
      <button
        type="button"
        className="button icon"
        aria-label="Previous page"
        disabled={page === 1}
        onClick={onPrevious}
      >
        <ChevronLeft aria-hidden="true" />
      </button>
      <span>
        {page} / {pages}
      </span>
      <button type="button" className="button icon" aria-label="Next page" disabled={page === pages} onClick={onNext}>
        <ChevronRight aria-hidden="true" />
      </button>
    </nav>
  );
}
