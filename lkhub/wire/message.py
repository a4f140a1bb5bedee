"""What all messages have in common: a dataclass as JSON, with the version of lkhub's messages.

The two ends may have different versions, as after an upgrade during a call. Each end ignores an unknown key, and takes
the default of its class for a missing key. So a new key needs a default, and a key never changes its meaning. Any other
change raises VERSION, here and in engine/internal/process.
"""

import json
from typing import Any, TypeVar

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


def parse_message(kind: type[T], text: str | bytes) -> T:
    """The inverse of `dump_message`. Raises ValueError, and its subclass MissingKeyError if a key is missing."""
    return unpack(kind, parse_finite_json(text))
