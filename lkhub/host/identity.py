"""What a hub knows itself by."""

import secrets

from lkhub.errors import MachineError
from lkhub.host.files import create_private, read_text


def ensure_identity(path: str) -> str:
    """The text in the file at `path`, which is random and made once. It outlives keys, addresses and processes. Raises
    MachineError."""
    found = read_text(path)
    if found is None:
        create_private(path, secrets.token_hex(16))
        found = read_text(path)  # another process may have been faster
    if found:
        return found.strip()
    raise MachineError(f"{path} is empty", hints=("remove it: the hub makes another",))
