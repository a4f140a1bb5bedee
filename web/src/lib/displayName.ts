/** Controls, marks of direction and ends of lines, which change how what stands around them is read. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;

/** What shows something; the last is an empty pattern of Braille. */
const SEEN = /[^\s\p{Default_Ignorable_Code_Point}\u2800]/u;

/** What to call a participant; not everyone has a name, and not every name can be seen: LiveKit takes any. */
export function displayName(person: { name?: string | undefined; identity?: string | undefined }): string {
  const names = [person.name, person.identity].map((name) => (name ?? '').replace(CONTROLS, ''));
  return names.find((name) => SEEN.test(name)) ?? 'Someone';
}
