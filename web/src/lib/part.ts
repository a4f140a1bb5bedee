/** A part of the pages that is loaded on demand failed to load. */
export class PartMissingError extends Error {
  constructor(cause: unknown) {
    super('a part of this page did not load', { cause });
    this.name = 'PartMissingError';
  }
}

/** A part that is loaded on demand. If that fails, the hub is down, or has new files since an update. */
export function part<T>(load: () => Promise<T>): () => Promise<T> {
  return async () => {
    try {
      return await load();
    } catch (error) {
      throw new PartMissingError(error);
    }
  };
}
