/** More names than these would push what is said of them out of sight. */
const NAMED = 3;

/** `Ann, Bob, and Eve`; of many the first few, and how many more there are. */
export function listNames(names: string[]): string {
  const more = names.length - NAMED;
  const shown = more > 1 ? [...names.slice(0, NAMED), `${more} others`] : names;
  return new Intl.ListFormat('en', { type: 'conjunction' }).format(shown);
}
