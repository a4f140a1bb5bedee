"""Names as both databases take them. LiveKit takes U+0000 in names of rooms and in identities, where an application
signs the tokens itself, and PostgreSQL's text has none."""

import re

_PACKED = {"\0": "\1\1", "\1": "\1\2"}
_UNPACKED = {packed: plain for plain, packed in _PACKED.items()}


def pack(name: str) -> str:
    """A name as it is stored. Nearly every name is stored as it is."""
    return re.sub("[\0\1]", lambda found: _PACKED[found[0]], name) if "\0" in name or "\1" in name else name


def unpack(stored: str) -> str:
    """The inverse of `pack`."""
    return re.sub("\1[\1\2]", lambda found: _UNPACKED[found[0]], stored) if "\1" in stored else stored
