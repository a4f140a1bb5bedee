/** What went wrong, in words for the person in front of the screen. */
export interface Problem {
  title: string;
  /** What it means and what to do. */
  text: string;
  /** The words of the part that failed, for whoever runs the hub. */
  detail?: string;
  /** What it says something of; once that works again the message is out of date. */
  about?: Concern;
}

/** What can go wrong during a call and come right again. */
export type Concern = 'microphone' | 'camera' | 'camera and microphone' | 'speaker' | 'screen' | 'low-power' | 'chat';

/** Carries a Problem through code that throws. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem, cause?: unknown) {
    super(problem.title, { cause });
    this.name = 'ProblemError';
    this.problem = problem;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
