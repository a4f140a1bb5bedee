/** The claims of a join link's token. They are read for display only: the hub checks the signature. */
export interface Claims {
  identity: string;
  name: string | undefined;
  room: string;
  /** Seconds since 1970. */
  expiresAt: number | undefined;
  mayPublish: boolean;
  mayRename: boolean;
  /** Whether this person may let others in. */
  mayInvite: boolean;
}

/** The grants of a join link. */
export interface Invitation {
  token: string;
  claims: Claims;
}

interface Payload {
  sub?: unknown;
  name?: unknown;
  exp?: unknown;
  video?: { room?: unknown; canPublish?: unknown; canUpdateOwnMetadata?: unknown; roomAdmin?: unknown };
}

/** Returns undefined if the text is not a LiveKit token. */
export function readClaims(token: string): Claims | undefined {
  const [, body, signature, ...rest] = token.split('.');
  if (!body || !signature || rest.length > 0) return undefined;
  let payload: Payload | null;
  try {
    payload = JSON.parse(decodeBase64Url(body)) as Payload | null;
  } catch {
    return undefined;
  }
  const grant = payload?.video;
  if (typeof payload?.sub !== 'string' || typeof grant?.room !== 'string') return undefined;
  return {
    identity: payload.sub,
    name: typeof payload.name === 'string' && payload.name !== '' ? payload.name : undefined,
    room: grant.room,
    expiresAt: typeof payload.exp === 'number' ? payload.exp : undefined,
    // LiveKit allows what a token does not mention.
    mayPublish: grant.canPublish !== false,
    mayRename: grant.canUpdateOwnMetadata === true,
    mayInvite: grant.roomAdmin === true,
  };
}

export function isExpired(claims: Claims, now: number): boolean {
  return claims.expiresAt !== undefined && claims.expiresAt * 1000 <= now;
}

function decodeBase64Url(text: string): string {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
}
