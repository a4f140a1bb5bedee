import type { Coming } from './roster';

/** Who came, or who left, at about the same time. */
export interface Comings {
  came: boolean;
  names: string[];
}

/**
 * All who came in one, and all who left in another: a crowd takes no more of the screen than one person. Of somebody who
 * came and went only the last is told.
 */
export function gatherComings(comings: Coming[]): Comings[] {
  const last = [...new Map(comings.map((coming) => [coming.identity, coming])).values()];
  return [true, false].flatMap((came) => {
    const names = last.filter((coming) => coming.came === came).map(({ name }) => name);
    return names.length > 0 ? [{ came, names }] : [];
  });
}
