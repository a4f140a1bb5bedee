/** A part of the pages that was to be loaded later did not come. */
export class PartMissingError extends Error {
  constructor(cause: unknown) {
    super('a part of this page did not load', { cause });
    this.name = 'PartMissingError';
  }
}

/** A part that is loaded when it is needed. Where that fails the hub is down, or has other files since an update. */
export function part<T>(load: () => Promise<T>): () => Promise<T> {
  return async () => {
    try {
      return await load();
    } catch (error) {
      throw new PartMissingError(error);
    }
  };
}
