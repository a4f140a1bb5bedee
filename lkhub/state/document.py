"""Reads and writes a record: one JSON file, made from one frozen dataclass, with the version of the format.

Several versions of lkhub, older ones too, may read and write the records of one hub. An unknown key is ignored, and a
missing key gets the default of its class. So a new key needs a default, and a key never changes its meaning. Any other
change needs a file with another name.
"""

import contextlib
import json
import os
from typing import TypeVar

from lkhub.errors import MachineError
from lkhub.host.files import FILE_MODE, NotTextError, read_text, write_private
from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import pack, unpack

T = TypeVar("T")

VERSION = 1


def dump_record(record: object) -> str:
    return json.dumps({"version": VERSION, **pack(record)}, indent=2) + "\n"


def parse_record(kind: type[T], text: str) -> T:
    """The inverse of `dump_record`. Raises ValueError if the text is not such a record."""
    return unpack(kind, parse_finite_json(text))


def read_record(kind: type[T], path: str) -> T | None:
    """The record; None if the file is missing or is not such a record. Raises MachineError if it can't be read."""
    try:
        text = read_text(path)
        return parse_record(kind, text) if text else None
    except (ValueError, NotTextError):
        return None


def find_record(kind: type[T], path: str) -> T | None:
    """As `read_record`, but None also if the file can't be read, for example by another user."""
    try:
        return read_record(kind, path)
    except MachineError:
        return None


def write_record(record: object, path: str, mode: int = FILE_MODE, owner: tuple[int, int] | None = None) -> None:
    """Raises MachineError if the file can't be written. Root leaves it to the owner of its folder, who may be another
    user, or to `owner` (uid, gid). For `mode` see `write_private`."""
    write_private(path, dump_record(record), mode, owner or _find_owner(path))


def _find_owner(path: str) -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError):  # to be told by what writes the file
        folder = os.stat(os.path.dirname(path))
        return folder.st_uid, folder.st_gid
    return None
