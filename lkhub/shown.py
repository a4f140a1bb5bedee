"""What the user or another program wrote, fit to be repeated in a message: short, and harmless to a terminal."""

import re
from typing import Any

MAX_LENGTH = 60

# How much of another program's text is repeated, as in engine/internal/probe/explain.go.
MAX_QUOTED = 200

QUOTED = "  | "
"""What is put before each line of another program, where it is shown among lkhub's own: in the supervisor's log, and in
findings."""

# Characters that command a terminal (C0 without tab and line feed, DEL, C1), that end a line or turn its direction
# (Unicode Standard Annex 9), and halves of surrogate pairs, which no stream takes.
_WILD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(value: Any) -> str:
    """A value of the spec as text."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or value == "":
        return "nothing" if value is None else "an empty text"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a very large number"  # Python refuses to print the largest
    return printable(str(value).lower() if isinstance(value, bool) else str(value))


def printable(text: str) -> str:
    """`text` without what would move the cursor, and cut where it is long."""
    plain = escape(text)
    return plain if len(plain) <= MAX_LENGTH else plain[: MAX_LENGTH - 3] + "…"


def escape(text: str) -> str:
    """`text` with an escape sequence for each character that would move a terminal's cursor or turn its direction."""
    return text if text.isprintable() else repr(text)[1:-1]


def tame(text: str) -> str:
    """`text` with a replacement character in place of each character that would command a terminal. It has the same
    length, and the same lines."""
    return _WILD.sub("\ufffd", text)


def tame_line(text: str) -> str:
    """`text` as `tame` leaves it, with a replacement character for each line feed and tab too: it has the same length,
    and is one line, so that it can't pass for another row of a table."""
    return tame(text).replace("\n", "\ufffd").replace("\t", "\ufffd")


def quote(text: str, limit: int = MAX_QUOTED) -> str:
    """The beginning of what another program said, on one line, harmless to a terminal."""
    words = tame(" ".join(text[: 20 * limit].split()))
    return words if len(words) <= limit else words[: limit - 1] + "…"
