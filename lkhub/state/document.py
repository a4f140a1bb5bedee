"""A record on disk: one JSON document a file, of one frozen dataclass, with the version of the records of this lkhub.

A hub may be read and written by several versions of lkhub, an older one too: a key that a version does not know is
ignored, and one that is missing has the default of its class. So a new key needs a default, and a key never changes
its meaning. A change that can't be made so needs a file of another name.
"""

import json
from typing import TypeVar

from lkhub.errors import MachineError
from lkhub.host.files import FILE_MODE, NotTextError, read_text, write_private
from lkhub.source.json_text import parse_json
from lkhub.source.typed import pack, unpack

T = TypeVar("T")

VERSION = 1


def dump_record(record: object) -> str:
    return json.dumps({"version": VERSION, **pack(record)}, indent=2) + "\n"


def parse_record(kind: type[T], text: str) -> T:
    """The inverse of `dump_record`. Raises ValueError for what is no such record."""
    return unpack(kind, parse_json(text))


def read_record(kind: type[T], path: str) -> T | None:
    """None where there is no such record, or what is there is none. Raises MachineError where the file can't be
    read."""
    try:
        text = read_text(path)
        return parse_record(kind, text) if text else None
    except (ValueError, NotTextError):
        return None


def find_record(kind: type[T], path: str) -> T | None:
    """As `read_record`; None also where the file can't be read, as by another user."""
    try:
        return read_record(kind, path)
    except MachineError:
        return None


def write_record(record: object, path: str, mode: int = FILE_MODE) -> None:
    """Raises MachineError where it can't be written."""
    write_private(path, dump_record(record), mode)
