/** Which page an address names. */
export type Route = { page: 'home' } | { page: 'api' } | { page: 'join'; room: string } | { page: 'unknown' };

export function readRoute(pathname: string): Route {
  if (pathname === '/') return { page: 'home' };
  if (pathname === '/api/docs') return { page: 'api' };
  const match = /^\/join\/([^/]+)\/?$/.exec(pathname);
  if (!match?.[1]) return { page: 'unknown' };
  try {
    const room = decodeURIComponent(match[1]).trim();
    return room === '' ? { page: 'unknown' } : { page: 'join', room };
  } catch {
    // A broken percent sequence.
    return { page: 'unknown' };
  }
}

export function joinPath(room: string): string {
  return `/join/${encodeURIComponent(room)}`;
}
