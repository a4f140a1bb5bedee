/** Functions that are called on a change. `add` returns a function that removes the listener. */
export class Listeners<News extends unknown[] = []> {
  private readonly all = new Set<(...news: News) => void>();

  readonly add = (listener: (...news: News) => void): (() => void) => {
    this.all.add(listener);
    return () => this.all.delete(listener);
  };

  tell(...news: News): void {
    for (const listener of this.all) listener(...news);
  }
}
