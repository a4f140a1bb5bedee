/** More names than these would push the rest of the sentence out of sight. */
const NAMED = 3;

/** `Ann, Bob, and Eve`; for many, the first few names and the number of others. */
export function listNames(names: string[]): string {
  const more = names.length - NAMED;
  const shown = more > 1 ? [...names.slice(0, NAMED), `${more} others`] : names;
  return new Intl.ListFormat('en', { type: 'conjunction' }).format(shown);
}
