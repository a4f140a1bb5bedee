/** The part of an event emitter that tests of a room need. */
export class Emitter {
  private listeners: [string, (...args: unknown[]) => void][] = [];

  on(event: string, listener: (...args: unknown[]) => void): this {
    this.listeners.push([event, listener]);
    return this;
  }

  once = this.on.bind(this);

  off(event: string, listener: (...args: unknown[]) => void): this {
    this.listeners = this.listeners.filter(([name, other]) => name !== event || other !== listener);
    return this;
  }

  emit(event: string, ...args: unknown[]): void {
    for (const [name, listener] of this.listeners) if (name === event) listener(...args);
  }
}
