"""What a hub knows itself by."""

import re
import secrets

from lkhub.errors import MachineError
from lkhub.host.files import create_private, read_text

_BYTES = 16
_WHOLE = re.compile(rf"[0-9a-f]{{{2 * _BYTES}}}\s*")


def ensure_identity(path: str) -> str:
    """The text in the file at `path`, which is random and made once. It outlives keys, addresses and processes. Raises
    MachineError where it is damaged: with another one, the hub would be a stranger to its own database."""
    found = read_text(path)
    if found is None:
        create_private(path, secrets.token_hex(_BYTES))
        found = read_text(path)  # another process may have been faster
    if found and _WHOLE.fullmatch(found):
        return found.strip()
    raise MachineError(
        f"{path} is damaged, and the database knows the hub by it: put it back from a backup (`lkhub restore`), or "
        "remove it: the hub then makes another, and may use the database again after five minutes"
    )
