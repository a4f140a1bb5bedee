"""Which program asks for tokens, on a hub for this machine alone.

A proxy that forwards the requests of other machines without saying so looks like a local program that asks for itself.
So such a request is answered; but if the program listens for other machines, `lkhub status` says so.
"""

import time

import anyio.to_thread
from starlette.requests import Request

from lkhub.errors import MachineError
from lkhub.host.peer import find_peer
from lkhub.state.asker import AskerRecord, write_asker

# Finding the program costs about ten milliseconds where many programs run, and mostly the same program asks all day.
LOOK_SECONDS = 10.0


class Askers:
    """`path` is the file that records the last such program; "" where programs are not looked for."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._looked = -LOOK_SECONDS

    async def look(self, request: Request) -> None:
        """See which program asks, while the connection is open."""
        now = time.monotonic()
        if not self._path or request.client is None or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        ours, theirs = request.scope["server"], (request.client.host, request.client.port)
        await anyio.to_thread.run_sync(self._note, (ours[0], ours[1]), theirs)

    def _note(self, ours: tuple[str, int], theirs: tuple[str, int]) -> None:
        try:
            peer = find_peer(ours, theirs)
            if peer and (peer.listens or (peer.pid is None and peer.service)):
                write_asker(self._path, AskerRecord(time.time(), **vars(peer)))
        except (OSError, ValueError, LookupError, MachineError):
            return  # the program is not known; the token is given all the same
