"""Why the JSON API refuses a request: each reason with its status, its code and the headers that go with it. Pure."""

from typing import NamedTuple

CODES = {
    400: "bad-request",
    401: "not-authenticated",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "wrong-content-type",
    421: "wrong-host",
    422: "invalid",
    429: "too-many-requests",
    500: "internal",
    503: "unavailable",
}
"""The code of a status, unless one status has several reasons."""


class Refusal(NamedTuple):
    """An answer other than success, whose body is an `ErrorAnswer`. `when` is a sentence for the documentation, and
    `headers` are those that the answer always has."""

    status: int
    code: str
    when: str
    headers: tuple[str, ...] = ()


def _refuse(status: int, when: str, *headers: str, code: str = "") -> Refusal:
    return Refusal(status, code or CODES[status], when, headers)


RETRY_AFTER, AUTHENTICATE = "Retry-After", "WWW-Authenticate"

WRONG_HOST = _refuse(421, "`Host` is not one of the hub's names and addresses.")

WRONG_TYPE = _refuse(415, "The body is not `application/json`.")
JSON_BODY = (
    _refuse(400, "The body is not JSON, has a key twice in one object, or half a character."),
    _refuse(413, "The body is over 64 KiB."),
    _refuse(429, "More than ten bodies over 8 KiB came from this address within ten seconds.", RETRY_AFTER),
    WRONG_TYPE,
)
FIELDS = _refuse(422, "A field is missing, unknown or of the wrong type, or a name has an invisible character.")
FOREIGN_PAGE = _refuse(403, "A page of another origin asks.")
UNLISTED_PAGE = _refuse(403, "A page asks whose origin `access.origins` does not list.")

NO_CREDENTIAL = _refuse(401, "There is no credential, or it is wrong, revoked or expired.", AUTHENTICATE)
WRONG_CREDENTIALS = _refuse(429, "Too many wrong API keys came from this address.", RETRY_AFTER)
UNAVAILABLE = _refuse(503, "The store can't be used, or the OpenID provider can't.", RETRY_AFTER)
STORE = _refuse(503, "The store can't be used.", RETRY_AFTER)
KEYS = _refuse(503, "The hub can't read its keys.", RETRY_AFTER)

FULL = _refuse(409, "No seat is free; `Retry-After` says when to ask again.", RETRY_AFTER, code="room-full")
LIMIT = _refuse(429, "A limit of `access.limits` is reached.", RETRY_AFTER)
TOKEN = (
    *(*JSON_BODY, FIELDS, UNLISTED_PAGE, NO_CREDENTIAL, LIMIT, WRONG_CREDENTIALS, UNAVAILABLE, KEYS, FULL),
    _refuse(
        403, "The hub gives this caller no tokens, or the room, the role, the identity or an agent is not its own."
    ),
    _refuse(409, "The identity looks like one that another person has in this room.", code="identity-taken"),
    _refuse(422, "There is no such role, or metadata and attributes are longer than the role allows."),
    _refuse(422, "The room's name begins as those of the hub's own calls."),
)

NO_ACCOUNTS = _refuse(404, "People don't sign in on this hub.")
NOT_PRIVATE = _refuse(403, "Signing in needs https, except on this machine.")
SIGN_INS = _refuse(429, "Too many sign-ins began at this address.", RETRY_AFTER)

INVITE_UNKNOWN = _refuse(404, "No invite into this room has this secret.", code="invite-unknown")
INVITE_ENDED = (
    _refuse(403, "The invite has expired.", code="invite-expired"),
    _refuse(403, "The invite was used up.", code="invite-used"),
    _refuse(403, "The invite was revoked.", code="invite-revoked"),
)
INVITE_LEADS_NOWHERE = _refuse(403, "The role of the invite does not lead into this room any more.")
WRONG_INVITES = _refuse(429, "Too many wrong invites came from this address.", RETRY_AFTER)
NO_HOST = _refuse(403, "The caller may not let others into this room, or not with this role.")
NO_SUCH_ROLE = _refuse(422, "There is no such role, or it does not lead into this room.")
INVITES = _refuse(429, "The caller has made too many invites.", RETRY_AFTER)

NOT_SIGNED = _refuse(401, "None of the hub's keys signed this body.")
NO_EVENT = _refuse(400, "The body is no event of LiveKit's.")
EVENT_TOO_LARGE = _refuse(413, "The body is over 2 MiB.")

NO_PLACE = _refuse(400, "`Last-Event-ID` is not an ID of this stream.")
NO_API_KEY = _refuse(403, "The caller is a person who has signed in.")
STREAMS_OF_KEY = _refuse(429, "The API key has as many streams as are still free for others.", RETRY_AFTER)
STREAMS = _refuse(503, "The hub is stopping, or 100 clients listen already.", RETRY_AFTER)
