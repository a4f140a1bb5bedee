/** GET /api/hub. */
export interface Hub {
  name: string;
  version: string;
  livekit_url: string;
  reach: 'local' | 'lan' | 'public';
  /** "open": the page may ask for a token itself. "link": a join link carries it. */
  tokens: 'open' | 'link';
}

/** POST /api/livekit/token, answered with 200. */
export interface TokenGrant {
  token: string;
  url: string;
  room: string;
  identity: string;
}

/** The hub answered, and said no. */
export class ApiError extends Error {
  readonly status: number;
  readonly hint: string | undefined;
  /** Seconds to wait before another attempt. */
  readonly retryAfter: number | undefined;

  constructor(status: number, message: string, hint?: string, retryAfter?: number) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.hint = hint;
    this.retryAfter = retryAfter;
  }
}

// A hub that is up answers in milliseconds; a person should not stare at a spinner for longer than this.
const ANSWER_WITHIN_MS = 10_000;

export async function fetchHub(): Promise<Hub> {
  return (await request('/api/hub', {})) as Hub;
}

export async function requestToken(room: string, name: string): Promise<TokenGrant> {
  return (await request('/api/livekit/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ room, name }),
  })) as TokenGrant;
}

async function request(path: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(path, { ...init, cache: 'no-store', signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (response.ok) return response.json();
  throw readError(response.status, await response.text(), response.headers.get('Retry-After'));
}

/** Reads the hub's error shape; a proxy in front may answer with something else. */
export function readError(status: number, body: string, retryAfter: string | null): ApiError {
  const seconds = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : undefined;
  try {
    const { error } = JSON.parse(body) as { error: { message: string; hint?: string } };
    return new ApiError(status, error.message, error.hint, seconds);
  } catch {
    return new ApiError(status, `HTTP status ${status}`, undefined, seconds);
  }
}
