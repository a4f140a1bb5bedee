"""Access tokens: grants → signed JWT. Pure.

The claims are LiveKit's (livekit/protocol, auth/grants.go): HS256, `iss` the API key, `sub` the identity. Signing is
the standard library's HMAC: libraries for JWT load asymmetric cryptography too, which no token of LiveKit's uses, and
the two processes that live as long as the hub would carry 18 MiB of it each.
"""

import hmac
import time
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from lkhub.secret import Secret
from lkhub.source.json_text import Json

# LiveKit allows a minute of clock difference on nbf (livekit/protocol, auth/verifier.go); a token made
# on a machine whose clock is ahead by less than that must still be good at once.
NOT_BEFORE_LEEWAY_SECONDS = 10


DEFAULT_TTL_SECONDS = 6 * 3600

# LiveKit's own limit for names of rooms and participants, in UTF-8 (limit.max_room_name_length and its neighbours).
MAX_NAME_BYTES = 256

# Characters that can't be seen in a name, or that change how the rest of it is read: control characters, line ends,
# marks of direction. Two names that look alike would be different people, and one line of a log would become two.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))

# Letters, marks and symbols that show nothing: fillers of Hangul, vowels of Khmer that are never written, a joiner of
# marks (Unicode's Default_Ignorable_Code_Point has them), and an empty pattern of Braille.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")

# Places in Unicode without a character, which show nothing either (of Default_Ignorable_Code_Point): programs leave out
# what may come to stand there.
_VACANT = (("\u2065", "\u2065"), ("\ufff0", "\ufff8"), ("\U000e0000", "\U000e0fff"))

# But these characters decide how the characters around them join (Persian, many scripts of India, emoji of several
# people), or which form the character before them has (emoji, Mongolian, Japanese).
_JOINERS = frozenset("\u200c\u200d")
_SELECTORS = frozenset(map(chr, (*range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))

# Scripts whose letters these characters never change.
_UNCHANGED = ("LATIN ", "GREEK ", "CYRILLIC ")

# A digit in a box (keycap emoji): the only use of a selector after an ASCII character.
_KEYCAP = "\u20e3"

# Rooms of lkhub's own verification. Their participants are probes, not people.
PROBE_ROOM_PREFIX = "lkhub-verify-"


def is_probe_room(room: str) -> bool:
    """Whether it is a room of lkhub's own verification: it takes no seats, and no receiver gets its events."""
    return room.startswith(PROBE_ROOM_PREFIX)


def drop_joiners(text: str) -> str:
    """A text without the characters that may be in a name although they are often not seen. Programs show it with and
    without them in the same way, for most letters."""
    return text if text.isascii() else text.translate(_DROPPED)


_DROPPED = dict.fromkeys(map(ord, _JOINERS | _SELECTORS))


class Grant(Struct, frozen=True):
    """What a token allows. `video` is LiveKit's grant as JSON; `room_config` as protobuf's JSON."""

    identity: str
    video: Mapping[str, Json]
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = {}
    room_config: Mapping[str, Json] = {}
    ttl_seconds: int = DEFAULT_TTL_SECONDS


def count_bytes(name: str) -> int:
    """The length of a name as LiveKit counts it."""
    return len(name.encode(errors="surrogatepass"))


def find_unseen(text: str) -> str:
    """The first character that does not belong in the name of a room or a participant, as `U+202E RIGHT-TO-LEFT
    OVERRIDE`; "" where there is none."""
    if text.isascii() and text.isprintable():
        return ""
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if character in _SELECTORS:
            hidden = after != _KEYCAP and not _changes(before)
        elif character in _JOINERS:
            hidden = before not in _SELECTORS and not _changes(before)
        else:
            hidden = character in _BLANK or unicodedata.category(character) in _UNSEEN or _is_vacant(character)
        if hidden:
            kind = _KINDS.get(unicodedata.category(character), "a control character")
            return f"U+{ord(character):04X} {unicodedata.name(character, kind)}"
    return ""


_KINDS = {"Cs": "half a character", "Cn": "no character"}


def _is_vacant(character: str) -> bool:
    return any(first <= character <= last for first, last in _VACANT)


def show_name(name: str) -> str:
    """A name as it can be read within a line: in quotes if it is not one word, and escaped if it has characters that
    can't be seen."""
    if find_unseen(name):
        return ascii(name)
    plain = name.isprintable() and name and not set(name) & set(" '\"\\`,")
    return name if plain else repr(name)


def _changes(character: str) -> bool:
    """Whether a joiner or a selector after this character may be visible."""
    if character.isascii() or character.isspace() or character in _JOINERS or character in _SELECTORS:
        return False
    return not unicodedata.name(character, "").startswith(_UNCHANGED)


def join_grant(room: str) -> dict[str, Json]:
    """The video grant of a plain participant of `room`: may publish and subscribe, administers nothing."""
    if not room:
        raise ValueError("a grant without a room opens every room")
    return {"roomJoin": True, "room": room, "canPublish": True, "canSubscribe": True, "canPublishData": True}


def sign(grant: Grant, key: str, secret: Secret, now: float | None = None) -> str:
    """The JWT of a grant. `now` is seconds since the epoch."""
    issued = int(time.time() if now is None else now)
    claims = _Claims(
        iss=key,
        sub=grant.identity,
        nbf=issued - NOT_BEFORE_LEEWAY_SECONDS,
        exp=issued + grant.ttl_seconds,
        video=grant.video,
        name=grant.name,
        metadata=grant.metadata,
        attributes=grant.attributes,
        roomConfig=grant.room_config,
    )
    return sign_claims(claims, secret)


class _Claims(Struct, omit_defaults=True):
    iss: str
    sub: str
    nbf: int
    exp: int
    video: Mapping[str, Json]
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = {}
    roomConfig: Mapping[str, Json] = {}  # noqa: N815


def sign_claims(claims: "Mapping[str, Json] | _Claims", secret: Secret) -> str:
    """A JWT of any claims."""
    signed = _HEADER + _encode_bytes(msgspec.json.encode(claims))
    signature = hmac.digest(secret.reveal().encode(), signed, "sha256")
    return b"".join((signed, b".", _encode_bytes(signature))).decode()


def _encode_bytes(part: bytes) -> bytes:
    """base64url without padding (RFC 7515, section 2)."""
    return urlsafe_b64encode(part).rstrip(b"=")


_HEADER = _encode_bytes(b'{"alg":"HS256","typ":"JWT"}') + b"."
