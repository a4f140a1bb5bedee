/** As much of an event emitter as tests of a room need. */
export class Emitter {
  private readonly listeners: [string, (...args: unknown[]) => void][] = [];

  on(event: string, listener: (...args: unknown[]) => void): this {
    this.listeners.push([event, listener]);
    return this;
  }

  once = this.on.bind(this);

  emit(event: string, ...args: unknown[]): void {
    for (const [name, listener] of this.listeners) if (name === event) listener(...args);
  }
}
