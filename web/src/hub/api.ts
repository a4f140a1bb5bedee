import type { Contract, ErrorAnswer, Hub, InviteMade, SessionState, SignIn, TokenGrant } from './contract';
import type { Document } from '../lib/openapi';

/** The hub refused the request. */
export class ApiError extends Error {
  readonly status: number;
  readonly hint: string | undefined;
  /** Seconds to wait before another attempt. */
  readonly retryAfter: number | undefined;
  /** Which of several reasons it is. */
  readonly code: string | undefined;

  constructor(status: number, message: string, hint?: string, retryAfter?: number, code?: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.hint = hint;
    this.retryAfter = retryAfter;
    this.code = code;
  }
}

// A hub that is up answers in milliseconds; a person should not stare at a spinner for longer than this.
const ANSWER_WITHIN_MS = 10_000;

export function fetchHub(): Promise<Hub> {
  return request('GET /api/hub', {});
}

/** The OpenAPI document of the hub. */
export async function fetchDocument(): Promise<Document> {
  const response = await fetch('/api/openapi.json', { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (response.ok) return (await response.json()) as Document;
  throw readError(response.status, await response.text(), response.headers.get('Retry-After'));
}

export function requestToken(room: string, name: string): Promise<TokenGrant> {
  return post('POST /api/livekit/token', { room, name });
}

/** Takes an invite: with the same `tab` it is the same person. */
export function redeemInvite(secret: string, room: string, tab: string, name: string): Promise<TokenGrant> {
  return post('POST /api/invites/redeem', { secret, room, tab, name });
}

/** Makes an invite for others, as the participant with `token`. */
export function makeInvite(room: string, token: string): Promise<InviteMade> {
  return post('POST /api/invites', { room }, { Authorization: `Bearer ${token}` });
}

export function fetchSession(): Promise<SessionState> {
  return request('GET /api/session', {});
}

/** Begins to sign in: the answer has the page of the OpenID provider, which leads back to `path`. */
export function beginSignIn(path: string): Promise<SignIn> {
  return post('POST /api/sign-in', { path });
}

export function signOut(): Promise<SessionState> {
  return post('POST /api/sign-out', undefined);
}

type Requests = { [Address in keyof Contract]: Contract[Address] extends { request: infer Body } ? Body : undefined };

function post<Address extends keyof Contract>(
  address: Address,
  body: Requests[Address],
  headers: Record<string, string> = {},
): Promise<Contract[Address]['answer']> {
  return request(address, {
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify(body ?? {}),
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
    return new ApiError(status, error.message, error.hint, seconds, error.code);
  } catch {
    return new ApiError(status, `HTTP status ${status}`, undefined, seconds);
  }
}
