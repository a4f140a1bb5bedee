/** Identities of which one thing is known, to be followed from React. */
export class IdentitySet {
  private identities: ReadonlySet<string> = new Set();
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

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
    for (const listener of this.listeners) listener();
  }
}
