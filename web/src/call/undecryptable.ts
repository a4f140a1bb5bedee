/** Identities whose data did not decrypt with this person's passphrase. */
export class Undecryptable {
  private identities: ReadonlySet<string> = new Set();
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): ReadonlySet<string> => this.identities;

  readonly add = (identity: string): void => {
    if (!this.identities.has(identity)) this.set(new Set(this.identities).add(identity));
  };

  /** Another passphrase: everyone is judged anew. */
  clear(): void {
    if (this.identities.size > 0) this.set(new Set());
  }

  private set(identities: ReadonlySet<string>): void {
    this.identities = identities;
    for (const listener of this.listeners) listener();
  }
}
