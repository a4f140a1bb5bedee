"""What all messages have in common: a struct as JSON, with the version of lkhub's messages.

The two ends may have different versions, as after an upgrade during a call. Each end ignores an unknown key, and takes
the default of its class for a missing key. So a new key needs a default, and a key never changes its meaning. Any other
change raises VERSION, here and in engine/internal/message. A message of another VERSION is not read, since its keys may
mean something else. A message without a version has this one.
"""

import json
from typing import Any, TypeGuard, TypeVar

from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import pack, unpack

T = TypeVar("T")

VERSION = 1


def dump_message(message: object, *, indent: int | None = None, lkhub: str = "") -> str:
    """JSON with the version: on one line, or indented. `lkhub` is the version of the program, for an end that shows it
    to the user."""
    program = {"lkhub": lkhub} if lkhub else {}
    return json.dumps({**pack_message(message), **program}, indent=indent) + "\n"


def pack_message(message: object) -> dict[str, Any]:
    """A message as a JSON object, for use in another document."""
    return {"version": VERSION, **pack(message)}


class OtherVersionError(ValueError):
    """A message of another VERSION."""

    def __init__(self, version: object) -> None:
        super().__init__(f"its messages are of version {version!r}, and this lkhub knows version {VERSION}")


def parse_message(kind: type[T], text: str | bytes) -> T:
    """The inverse of `dump_message`. Raises ValueError, such as OtherVersionError, and MissingKeyError where the other
    end lacks a key."""
    return unpack_message(kind, parse_finite_json(text))


def unpack_message(kind: type[T], message: object) -> T:
    """As `parse_message`, from JSON that was parsed already."""
    if has_other_version(message):
        raise OtherVersionError(message["version"])
    return unpack(kind, message)


def has_other_version(message: object) -> TypeGuard[dict[str, Any]]:
    """Whether it says that it is of another VERSION."""
    return isinstance(message, dict) and message.get("version", VERSION) != VERSION
