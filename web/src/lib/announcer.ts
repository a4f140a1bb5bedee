import { Listeners } from './listeners';

/** Something that just happened, for those who can't see it. */
export interface Announcement {
  key: number;
  text: string;
}

/** A screen reader says what is added; a few are left for whoever reads them again. */
const KEPT = 4;

/** Everything that a call has to say by itself goes through here, to its one live region: two would talk at once. */
export class Announcer {
  private announcements: Announcement[] = [];
  private readonly listeners = new Listeners();
  private count = 0;

  readonly subscribe = this.listeners.add;

  readonly snapshot = (): Announcement[] => this.announcements;

  readonly say = (text: string): void => {
    this.announcements = [...this.announcements, { key: ++this.count, text }].slice(-KEPT);
    this.listeners.tell();
  };
}
