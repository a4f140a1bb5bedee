import type { Coming } from './roster';

/** The participants who came, or left, at about the same time. */
export interface Comings {
  came: boolean;
  names: string[];
}

/**
 * All arrivals in one notice, and all departures in another: a crowd takes no more of the screen than one person. If a
 * participant came and went, only the last event is shown.
 */
export function gatherComings(comings: Coming[]): Comings[] {
  const last = [...new Map(comings.map((coming) => [coming.identity, coming])).values()];
  return [true, false].flatMap((came) => {
    const names = last.filter((coming) => coming.came === came).map(({ name }) => name);
    return names.length > 0 ? [{ came, names }] : [];
  });
}
