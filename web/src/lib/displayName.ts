/** What to call a participant; not everyone has a name. */
export function displayName(person: { name?: string | undefined; identity?: string | undefined }): string {
  return [person.name, person.identity].find(Boolean) ?? 'Someone';
}
