/** A problem, described for the person in front of the screen. */
export interface Problem {
  title: string;
  /** What it means and what to do. */
  text: string;
  /** The message of the part that failed, for the hub's operator. */
  detail?: string;
  /** The part that failed; once it works again, the message is outdated. */
  about?: Concern;
}

/** The parts that can fail during a call and recover. */
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
