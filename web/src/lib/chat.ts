import { Listeners } from './listeners';

/** One line of the chat. */
export interface ChatMessage {
  id: string;
  from: Author;
  /** Milliseconds since 1970. */
  at: number;
  text: string;
  /** The state of this person's own message: waiting for the connection, handed to it, or refused by it. */
  delivery: 'waiting' | 'sent' | 'failed';
  /** Not encrypted, although this call is: it may come from anyone who can reach the hub. */
  plain: boolean;
}

export interface Author {
  identity: string;
  name: string;
  mine: boolean;
}

/** A moment after which messages from others may be missing. */
export interface ChatGap {
  id: string;
  gap: true;
  at: number;
}

/** Data from another participant that can't be decrypted here. It may have been a message. */
export interface Unreadable {
  id: string;
  unreadable: true;
  from: Author;
  at: number;
}

export type ChatEntry = ChatMessage | ChatGap | Unreadable;

export function isGap(entry: ChatEntry): entry is ChatGap {
  return 'gap' in entry;
}

export function isUnreadable(entry: ChatEntry): entry is Unreadable {
  return 'unreadable' in entry;
}

export function isMessage(entry: ChatEntry): entry is ChatMessage {
  return !isGap(entry) && !isUnreadable(entry);
}

/** A message comes in several packets. This is longer than all of them take to arrive. */
const ONE_MESSAGE_MS = 2_000;

/** What messages wait for before they are sent: this person's own connection, or the others' return. */
export type ChatHold = 'connection' | 'others';

/** The connection that sends messages. */
export interface ChatLine {
  /** Whether there is a connection. */
  isOpen: () => boolean;
  /** Sends a text with an id; a receiver treats the same id from the same author as the same message. */
  send: (id: string, text: string) => Promise<void>;
}

/**
 * The hub does not confirm a message. A loss of the connection is noticed only after this long, so messages that were
 * handed over within this time before it may be lost. They are sent again, with the same ids.
 */
export const UNSURE_MS = 20_000;

/** The messages of a call, and those that still wait to be sent. Kept outside React: it outlives the panel. */
export class Chat {
  private entries: ChatEntry[] = [];
  private readonly listeners = new Listeners();
  private readonly handedOver = new Map<string, number>();
  private readonly attempts = new Map<string, number>();
  private lostAt: number | undefined;
  private hold: ChatHold | undefined;

  private readonly line: ChatLine;
  private readonly me: () => Author;
  private readonly newId: () => string;
  private readonly now: () => number;

  constructor(line: ChatLine, me: () => Author, newId: () => string, now: () => number = Date.now) {
    this.line = line;
    this.me = me;
    this.newId = newId;
    this.now = now;
  }

  readonly subscribe = this.listeners.add;

  readonly snapshot = (): ChatEntry[] => this.entries;

  /** Why messages wait; undefined if they don't. */
  readonly held = (): ChatHold | undefined => this.hold;

  /** Adds this person's own message: it is sent now, or as soon as there is a connection. */
  write(text: string): void {
    const message = { id: this.newId(), from: this.me(), at: this.now(), text, delivery: 'waiting', plain: false } as const;
    this.set([...this.entries, message]);
    if (this.isOpen()) void this.send(message.id, text);
  }

  /** Sends a failed message again. */
  retry(id: string): void {
    this.deliver((message) => message.id === id && message.delivery === 'failed');
  }

  /**
   * A message from another participant. The same id from the same author is the same message, which came twice or was
   * edited.
   */
  receive(message: Omit<ChatMessage, 'delivery'>): void {
    const known = this.entries.some((entry) => isSame(entry, message));
    const taken: ChatMessage = { ...message, delivery: 'sent' };
    // A sender without encryption must not change a message that was encrypted.
    const replace = (entry: ChatEntry) => (isSame(entry, message) && !isMorePrivate(entry, message) ? taken : entry);
    this.set(known ? this.entries.map(replace) : [...this.entries, taken]);
  }

  /** Data from another participant that can't be decrypted. A series from one participant leaves one entry. */
  cannotRead(from: Author): void {
    const at = this.now();
    const last = this.entries.at(-1);
    const known = this.entries.findLast((entry) => !isGap(entry) && entry.from.identity === from.identity);
    if (known && isUnreadable(known) && (known === last || at - known.at < ONE_MESSAGE_MS)) return;
    this.set([...this.entries, { id: this.newId(), unreadable: true, from, at }]);
  }

  /** The connection is lost. Of repeated calls, the first one counts. */
  lost(): void {
    this.lostAt ??= this.now();
    this.hold = 'connection';
    this.tell();
  }

  /**
   * The connection is back before the others are: a message that is sent now would reach none of them. `back` follows.
   */
  awaitOthers(): void {
    this.hold = 'others';
    this.tell();
  }

  /** Messages are sent again. `anew`: over a new connection, and it is unknown which messages the old one delivered. */
  back(anew: boolean): void {
    const unsureSince = (this.lostAt ?? this.now()) - UNSURE_MS;
    const wasLost = this.lostAt !== undefined;
    this.lostAt = undefined;
    this.hold = undefined;
    if (anew && wasLost) this.set([...this.entries, { id: this.newId(), gap: true, at: this.now() }]);
    else this.tell();
    this.deliver(
      ({ id, delivery }) => delivery === 'waiting' || (anew && (this.handedOver.get(id) ?? 0) >= unsureSince),
    );
  }

  /**
   * This person's own texts that may not have arrived: not sent, or sent so shortly before a loss that they may be
   * lost.
   */
  unsent(): string[] {
    const unsureSince = this.lostAt === undefined ? Infinity : this.lostAt - UNSURE_MS;
    return this.entries.flatMap((entry) => {
      if (!isMessage(entry) || !entry.from.mine) return [];
      const isSure = entry.delivery === 'sent' && (this.handedOver.get(entry.id) ?? 0) < unsureSince;
      return isSure ? [] : entry.text;
    });
  }

  private isOpen(): boolean {
    return this.hold === undefined && this.line.isOpen();
  }

  private deliver(wanted: (message: ChatMessage) => boolean): void {
    for (const entry of this.entries) {
      if (isMessage(entry) && entry.from.mine && wanted(entry)) void this.send(entry.id, entry.text);
    }
  }

  private async send(id: string, text: string): Promise<void> {
    const attempt = (this.attempts.get(id) ?? 0) + 1;
    this.attempts.set(id, attempt);
    this.mark(id, 'waiting');
    let delivery: ChatMessage['delivery'] = 'sent';
    try {
      await this.line.send(id, text);
      this.handedOver.set(id, this.now());
    } catch {
      // Lost while it was sent: it waits for the connection like the others.
      delivery = this.isOpen() ? 'failed' : 'waiting';
    }
    // An earlier attempt may end after this one, on a connection that is gone.
    if (this.attempts.get(id) === attempt) this.mark(id, delivery);
  }

  private mark(id: string, delivery: ChatMessage['delivery']): void {
    this.set(this.entries.map((entry) => (entry.id === id && isMessage(entry) ? { ...entry, delivery } : entry)));
  }

  private set(entries: ChatEntry[]): void {
    this.entries = entries;
    this.tell();
  }

  private tell(): void {
    this.listeners.tell();
  }
}

function isSame(entry: ChatEntry, message: Omit<ChatMessage, 'delivery'>): boolean {
  return isMessage(entry) && entry.id === message.id && entry.from.identity === message.from.identity;
}

function isMorePrivate(entry: ChatEntry, message: Omit<ChatMessage, 'delivery'>): boolean {
  return isMessage(entry) && !entry.plain && message.plain;
}
