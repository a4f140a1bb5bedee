import { Listeners } from './listeners';

/** An event, for people who can't see it. */
export interface Announcement {
  key: number;
  text: string;
}

/** A screen reader reads added entries; a few old ones remain to be read again. */
const KEPT = 4;

/** All announcements of a call go through here, to its one live region: two regions would be read at the same time. */
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
