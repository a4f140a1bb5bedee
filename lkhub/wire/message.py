"""What all messages have in common: JSON of a dataclass, and the version of the messages of this lkhub.

The two ends may be of different versions, as after an upgrade with a call running: an end ignores a key that it does
not know, and takes the default of one that it misses. So a new key needs a default, and a key never changes its
meaning; a change that can't be made so raises VERSION, here and in engine/internal/process.
"""

import json
from typing import Any, TypeVar

from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import pack, unpack

T = TypeVar("T")

VERSION = 1


def dump_message(message: object, *, indent: int | None = None, lkhub: str = "") -> str:
    """JSON with the version, on one line or as it is easy to read. `lkhub`: the version of the program, where the other
    end shows it."""
    program = {"lkhub": lkhub} if lkhub else {}
    return json.dumps({**pack_message(message), **program}, indent=indent) + "\n"


def pack_message(message: object) -> dict[str, Any]:
    """A message as JSON that is part of another document."""
    return {"version": VERSION, **pack(message)}


def parse_message(kind: type[T], text: str | bytes) -> T:
    """The inverse of `dump_message`. Raises ValueError: MissingKeyError where the other end lacks a key."""
    return unpack(kind, parse_finite_json(text))
