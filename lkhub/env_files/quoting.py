"""How a value stands in a .env file, so that every program reads the same value.

The format has no standard. Docker's --env-file takes quotes as part of the value. In unquoted values, `#` begins a
comment for some programs. Some expand `$NAME`, even in single quotes (dotenv-expand, which Vite uses; python-dotenv for
`${NAME}`). Some read `\\\\` as one backslash in single quotes (python-dotenv), and some do not (sh, node).
"""

import re

from lkhub.env_files.edit_error import EditError

# What no program changes, whichever quotes are around it.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=\[\]-]*")

# What single quotes keep: all but line ends and other control characters, quotes, backslashes, and `$` with a name.
_QUOTABLE = re.compile(r"(?:[^\x00-\x1f\x7f'\"`\\$]|[\"`]|\$(?![A-Za-z_{]))*")


def quote(name: str, value: str, quotes: str = "") -> str:
    """The value as text of a .env file, in `quotes` (', ", or "" for none) if they keep it, otherwise in single quotes.
    Raises EditError, which names the variable, if programs would read the value differently."""
    if _PLAIN.fullmatch(value):
        return f"{quotes}{value}{quotes}"
    if not _QUOTABLE.fullmatch(value):
        raise EditError(
            f"{name} has a character that programs read differently in a .env file: a single quote, a backslash, a "
            "control character, or a dollar sign before a name"
        )
    return f"'{value}'"
