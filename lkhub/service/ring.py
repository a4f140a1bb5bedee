"""The hub's API keys, as its file has them now."""

import asyncio
import os

from lkhub.host.keyfile import Keys, load_keys
from lkhub.secret import Secret


class Ring:
    """The ring of keys in `file`. It is read again once it is another file or has changed, since a key may have been
    rotated or revoked: reading it takes as long as a token. It is looked at once for all requests that are answered
    together: each look lets another thread go on first. Both methods raise MachineError where there are no keys."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._looked = False
        self._read: tuple[int, int, int] | None = None
        self._keys: Keys = {}

    def keys(self) -> Keys:
        """Every key that is accepted, the current one first."""
        if self._looked:
            return self._keys
        try:
            found = os.stat(self._file)
            state = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            state = None
        if state is None or state != self._read:
            self._keys = load_keys(self._file)
            self._read = state
        self._looked = True
        asyncio.get_running_loop().call_soon(self._forget)
        return self._keys

    def current(self) -> tuple[str, Secret]:
        """The key that is signed with."""
        return next(iter(self.keys().items()))

    def _forget(self) -> None:
        self._looked = False
