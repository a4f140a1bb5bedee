/** A participant in the room, as reported by the server. */
export interface Guest {
  identity: string;
  name: string;
}

export interface Person extends Guest {
  /** The participant is away and may come back: their connection broke, or this person's own did. */
  away: boolean;
}

/** A participant came or left. */
export interface Coming extends Guest {
  key: number;
  came: boolean;
}

/** How long a participant who vanished may take to come back before they count as gone. */
export const COMES_BACK_MS = 4_000;

/** The same after this person's own reconnect: the others may be reconnecting, too. */
export const ALL_COME_BACK_MS = 15_000;

interface Known extends Guest {
  awaySince: number | undefined;
}

/**
 * The other participants in a call. A reconnect empties livekit-client's list and fills it one by one. Participants who
 * were in it are still shown meanwhile, as away, and are reported neither as leaving nor as coming.
 */
export class Roster {
  private readonly known = new Map<string, Known>();
  private comings: Coming[] = [];
  private started = false;
  private lost = false;
  private patientUntil = 0;
  private count = 0;

  /** livekit-client is reconnecting: known participants stay, and there is no new information. */
  lose(): void {
    this.lost = true;
    for (const person of this.known.values()) person.awaySince = undefined;
  }

  /** The connection is back; `see` follows. */
  find(now: number): void {
    if (this.lost) this.patientUntil = now + ALL_COME_BACK_MS;
    this.lost = false;
  }

  /**
   * Sets the participants that are in the room now. The first ones were there before this person, so they are not
   * reported as coming.
   */
  see(guests: Guest[], now: number): void {
    if (this.lost) return;
    const there = new Set(guests.map(({ identity }) => identity));
    for (const guest of guests) {
      if (this.started && !this.known.has(guest.identity)) this.tell(guest, true);
      this.known.set(guest.identity, { ...guest, awaySince: undefined });
    }
    this.started = true;
    for (const person of this.known.values()) {
      if (!there.has(person.identity)) person.awaySince ??= now;
    }
    this.forget(now);
  }

  /** A participant left deliberately, or was removed. */
  leave(identity: string): void {
    const person = this.known.get(identity);
    if (!person || this.lost) return;
    this.known.delete(identity);
    this.tell(person, false);
  }

  /** When to check again, in milliseconds from now; undefined if no participant is away. */
  nextLook(now: number): number | undefined {
    if (this.lost) return undefined;
    const ends = [...this.known.values()].flatMap((person) => this.endOfPatience(person) ?? []);
    return ends.length === 0 ? undefined : Math.max(0, Math.min(...ends) - now);
  }

  people(): Person[] {
    return [...this.known.values()].map(({ identity, name, awaySince }) => ({
      identity,
      name,
      away: this.lost || awaySince !== undefined,
    }));
  }

  /** The participants who came and left since the last call. */
  takeComings(): Coming[] {
    const taken = this.comings;
    this.comings = [];
    return taken;
  }

  private forget(now: number): void {
    for (const person of [...this.known.values()]) {
      if ((this.endOfPatience(person) ?? Infinity) <= now) this.leave(person.identity);
    }
  }

  private endOfPatience({ awaySince }: Known): number | undefined {
    return awaySince === undefined ? undefined : Math.max(awaySince + COMES_BACK_MS, this.patientUntil);
  }

  private tell({ identity, name }: Guest, came: boolean): void {
    this.comings.push({ identity, name, came, key: ++this.count });
  }
}
