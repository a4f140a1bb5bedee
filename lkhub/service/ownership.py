"""Two hubs on one store.

Each hub compares the seats in the store with its own LiveKit's rooms, and would take every seat of the other's away. So
a store belongs to one hub, and another is refused. The owner shows every few seconds that it is there. A hub that takes
another's place, on another machine, waits until the owner has not been seen for some minutes. That is counted on the
waiting hub's own clock while it can see the store; no time of day has a say.
"""

import socket
import time
from collections.abc import Callable

from sqlalchemy import Connection

from lkhub.errors import MachineError
from lkhub.host.identity import ensure_identity
from lkhub.store.errors import StoreError
from lkhub.store.owner import Owner, claim, refuse, take_over

# Longer than a machine takes to start again.
SILENT_SECONDS = 300.0

# A silence counts only while the store is seen at least as often as this: nothing is known of the time between.
_UNSEEN_SECONDS = 15.0


class Ownership:
    """`file` has the identity of this hub."""

    def __init__(self, file: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._hub = ""
        self._seen: Owner | None = None
        self._since = self._last = 0.0

    def check(self, connection: Connection) -> None:
        """Show that this hub uses the store. Raises StoreError where it belongs to another hub."""
        hub, host = self._find_hub(), socket.gethostname()
        found = claim(connection, hub, host)
        if found.hub == hub:
            self._seen = None
        elif not self._is_silent(found) or not take_over(connection, hub, host, found):
            raise refuse(found.host)

    def _find_hub(self) -> str:
        try:
            self._hub = self._hub or ensure_identity(self._file)
        except MachineError as error:
            raise StoreError("refused", f"the hub's identity is unknown: {error}") from None
        return self._hub

    def _is_silent(self, owner: Owner) -> bool:
        now = self._clock()
        if owner != self._seen or now - self._last > _UNSEEN_SECONDS:
            self._since = now
        self._seen, self._last = owner, now
        return now - self._since >= SILENT_SECONDS
