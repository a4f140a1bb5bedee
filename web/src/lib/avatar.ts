/** One or two letters in place of a missing picture. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s._-]+/u)
    .filter(Boolean);
  const first = words.at(0);
  const last = words.length > 1 ? words.at(-1) : undefined;
  return letter(first) + letter(last) || '?';
}

/** A hue in degrees, the same for the same identity on every screen. */
export function hue(identity: string): number {
  let hash = 0;
  for (const char of identity) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 100_003;
  // The golden angle keeps identities that differ in one letter apart.
  return Math.round(hash * 137.508) % 360;
}

/** The colour of a hue, dark enough for white letters with every hue: yellow is the lightest. */
export function colour(hue: number): string {
  return `hsl(${String(hue)} 42% 32%)`;
}

function letter(word: string | undefined): string {
  const code = word?.codePointAt(0);
  return code === undefined ? '' : String.fromCodePoint(code).toLocaleUpperCase();
}
