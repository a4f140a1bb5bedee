import { Listeners } from './listeners';

/** A set of identities that React components can subscribe to. */
export class IdentitySet {
  private identities: ReadonlySet<string> = new Set();
  private readonly listeners = new Listeners();

  readonly subscribe = this.listeners.add;

  readonly snapshot = (): ReadonlySet<string> => this.identities;

  add(identity: string): void {
    if (!this.identities.has(identity)) this.set([...this.identities, identity]);
  }

  delete(identity: string): void {
    if (this.identities.has(identity)) this.set([...this.identities].filter((other) => other !== identity));
  }

  clear(): void {
    if (this.identities.size > 0) this.set([]);
  }

  private set(identities: string[]): void {
    this.identities = new Set(identities);
    this.listeners.tell();
  }
}
