"""JSON that another program may have written or damaged."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A document, or a part of it, whose keys are defined elsewhere: by Caddy, LiveKit, nft, a cloud, or by a contract with
users. Classes of our own would only repeat that definition."""


class DuplicateKeyError(ValueError):
    """JSON that has a key twice in one object."""


def parse_json(text: str | bytes) -> Any:
    """What `text` says. Raises ValueError for all that is not JSON, and for JSON that is nested too deep to be read:
    json.loads raises a RecursionError there, which callers do not expect."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def parse_unicode_json(text: bytes) -> Any:
    """As `parse_json`, for requests: also raises ValueError where a text has half a character (an unpaired surrogate),
    which can be neither stored nor sent."""
    data = parse_json(_decode(text))
    _require_unicode(text, data)
    return data


def parse_unique_json(text: bytes) -> Any:
    """As `parse_unicode_json`, for requests of strangers: also raises ValueError where an object has a key twice.
    Programs disagree about which of the two holds, so that one may check the first and another act on the second."""
    data: Any = _decode_flat(text)
    if data is None:
        try:
            data = json.loads(_decode(text), object_pairs_hook=_collect)
        except RecursionError:
            raise ValueError("JSON nested too deep") from None
    _require_unicode(text, data)
    return data


def _decode(text: bytes) -> str:
    """Requests are in UTF-8 (RFC 8259, section 8.1); json.loads takes bytes of UTF-16 and UTF-32 too."""
    return text.decode("utf-8-sig")


def _require_unicode(text: bytes, data: Any) -> None:
    """json.loads takes halves of characters, as they are and as escapes."""
    text.decode()
    if b"\\u" in text:
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except RecursionError:  # it takes a little less than json.loads
            raise ValueError("JSON nested too deep") from None


def _collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DuplicateKeyError("a key is given twice")
    return found


def _decode_flat(text: bytes) -> dict[str, Any] | None:
    """The object, if it certainly has no key twice: as many colons as keys. msgspec takes a fifth of the time of the
    standard library, and does not look for keys that are there twice."""
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # the standard library takes more, and says what is wrong
        return None
    return found if isinstance(found, dict) and text.count(b":") == len(found) else None


def parse_finite_json(text: str | bytes) -> Any:
    """As `parse_json`, for records and messages of lkhub: also raises ValueError for NaN, and for a number that is too
    large for a float. Neither of them is a time or a length."""
    try:
        return json.loads(text, parse_float=_parse_float, parse_constant=_parse_float)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value
