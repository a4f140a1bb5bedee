"""What the user wrote, fit to be repeated in a message: on one line, short, and harmless to a terminal."""

from typing import Any

MAX_LENGTH = 60


def shown(value: Any) -> str:
    """A value of the spec as text."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
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
