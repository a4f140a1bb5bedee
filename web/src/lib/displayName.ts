/** Control characters, direction marks and line ends, which change how the text around them is read. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;

/** A visible character; U+2800 is the empty Braille pattern. */
const SEEN = /[^\s\p{Default_Ignorable_Code_Point}\u2800]/u;

/** The displayed name of a participant. Some have no name, and some names are invisible: LiveKit accepts any. */
export function displayName(person: { name?: string | undefined; identity?: string | undefined }): string {
  const names = [person.name, person.identity].map((name) => (name ?? '').replace(CONTROLS, ''));
  return names.find((name) => SEEN.test(name)) ?? 'Someone';
}
