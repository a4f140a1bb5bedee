import type { Contract, ErrorAnswer, Hub, TokenGrant } from './contract';

/** The hub refused the request. */
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

export function fetchHub(): Promise<Hub> {
  return request('GET /api/hub', {});
}

export function requestToken(room: string, name: string): Promise<TokenGrant> {
  const body: Contract['POST /api/livekit/token']['request'] = { room, name };
  return request('POST /api/livekit/token', {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
}

async function request<Address extends keyof Contract>(
  address: Address,
  init: RequestInit,
): Promise<Contract[Address]['answer']> {
  const [method, path] = address.split(' ') as [string, string];
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const response = await fetch(path, { ...init, method, cache: 'no-store', signal });
  if (response.ok) return (await response.json()) as Contract[Address]['answer'];
  throw readError(response.status, await response.text(), response.headers.get('Retry-After'));
}

/** Reads the hub's error shape; a proxy in front may answer with something else. */
export function readError(status: number, body: string, retryAfter: string | null): ApiError {
  const seconds = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : undefined;
  try {
    const { error } = JSON.parse(body) as ErrorAnswer;
    return new ApiError(status, error.message, error.hint, seconds);
  } catch {
    return new ApiError(status, `HTTP status ${status}`, undefined, seconds);
  }
}
