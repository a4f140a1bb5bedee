// Written by scripts/web-types from lkhub/service/models.py and contract.py. Change them, then run scripts/web-types.
// Schema: 5046320e2207694e

/**
 * What each address of the API takes, and what it answers with.
 */
export interface Contract {
  'GET /api/hub': {
    answer: Hub;
    error: ErrorAnswer;
  };
  'GET /api/health': {
    answer: Health;
    error: ErrorAnswer;
  };
  'GET /api/request-info': {
    answer: RequestInfo;
    error: ErrorAnswer;
  };
  'POST /api/livekit/token': {
    request: TokenRequest;
    answer: TokenGrant;
    error: ErrorAnswer;
  };
  'POST /api/token-source': {
    request: TokenSourceRequest;
    answer: TokenSourceGrant;
    error: ErrorAnswer;
  };
  'GET /api/session': {
    answer: SessionState;
    error: ErrorAnswer;
  };
  'POST /api/sign-in': {
    request: SignInRequest;
    answer: SignIn;
    error: ErrorAnswer;
  };
  'POST /api/sign-out': {
    answer: SessionState;
    error: ErrorAnswer;
  };
  'POST /api/invites/redeem': {
    request: RedeemRequest;
    answer: TokenGrant;
    error: ErrorAnswer;
  };
  'POST /api/invites': {
    request: InviteRequest;
    answer: InviteMade;
    error: ErrorAnswer;
  };
}
/**
 * What a page must know of its hub. `livekit_url` is at the name by which the page was asked for. `tokens`: with
 * `open`, the page gets its token from the token endpoint; with `link`, from the join link that opened it, or with
 * `sign_in` from the token endpoint once the person has signed in.
 */
export interface Hub {
  name: string;
  version: string;
  livekit_url: string;
  reach: 'local' | 'lan' | 'public';
  tokens: 'open' | 'link';
  sign_in?: boolean;
}
/**
 * What any address answers with when it refuses a request or fails at it.
 */
export interface ErrorAnswer {
  error: ErrorDetail;
}
/**
 * Why the hub did not do what it was asked for. `hint` says what to do about it.
 */
export interface ErrorDetail {
  code: string;
  message: string;
  hint?: string;
}
/**
 * Whether media answers: `ok` comes with status 200, `unavailable` with 503.
 */
export interface Health {
  status: 'ok' | 'unavailable';
}
/**
 * How a request came to the hub. `instance` is the process that answers: two addresses that give the same one lead
 * to the same hub. `client` is the address from which the hub takes the request to come. `forwarded` says whether a
 * proxy told that address, and is null where no proxy is expected.
 */
export interface RequestInfo {
  instance: string;
  client: string;
  forwarded: boolean | null;
}
/**
 * A request for a token of one room. Without `identity` the hub makes a new one for each request. Without `role`
 * the caller gets its default role. People who come with the same `party` get seats in the same sub-room, if there is
 * space.
 */
export interface TokenRequest {
  room: string;
  identity?: string | null;
  name?: string;
  metadata?: string;
  attributes?: {
    [k: string]: string;
  };
  role?: string | null;
  party?: string;
}
/**
 * A token, and where to use it. `room` is the sub-room where the room that was asked for has any. `expires_at` is
 * in seconds since 1970.
 */
export interface TokenGrant {
  token: string;
  url: string;
  room: string;
  identity: string;
  expires_at: number;
}
/**
 * A request of LiveKit's TokenSource. Each field may be left out or null; without `room_name` the hub makes a room,
 * unless the caller has one room alone. `room_config` is LiveKit's RoomConfiguration, of which a role may allow
 * agents.
 */
export interface TokenSourceRequest {
  room_name?: string | null;
  participant_name?: string | null;
  participant_identity?: string | null;
  participant_metadata?: string | null;
  participant_attributes?: {
    [k: string]: string;
  } | null;
  room_config?: {
    [k: string]: unknown;
  } | null;
}
/**
 * A token, as LiveKit's TokenSource takes it. The answer has status 201.
 */
export interface TokenSourceGrant {
  server_url: string;
  participant_token: string;
}
/**
 * Whether this browser is signed in, and under which name; "" where the provider says none.
 */
export interface SessionState {
  signed_in: boolean;
  name?: string;
}
/**
 * Begin to sign in. `path` is the page of a room, to which the browser is led in the end.
 */
export interface SignInRequest {
  path: string;
}
/**
 * The page of the OpenID provider that signs the person in.
 */
export interface SignIn {
  url: string;
}
/**
 * Take an invite. `secret` and `room` are the link's: `/join/ROOM#i=SECRET`. `tab` is a random text of at least 16
 * characters that the caller keeps: with the same one it is the same participant, and no other use of the invite.
 */
export interface RedeemRequest {
  secret: string;
  room: string;
  tab: string;
  name?: string;
}
/**
 * Make an invite into a room. It lets in any number of people, or `uses`, for `ttl` seconds, a day by default.
 */
export interface InviteRequest {
  room: string;
  role?: string | null;
  uses?: number | null;
  ttl?: number | null;
}
/**
 * An invite, and the link that takes it. `expires_at` is in seconds since 1970.
 */
export interface InviteMade {
  id: string;
  link: string;
  room: string;
  role: string;
  uses: number | null;
  expires_at: number;
}
