/** Functions that are called when something changes. What `add` returns takes one out again. */
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
