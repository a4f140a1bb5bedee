"""Listening sockets that the supervisor keeps open for its children.

A child is given the socket, not the address: while it restarts, who connects waits in the socket's queue
instead of being refused, and a client's first attempt to reconnect succeeds.
"""

import socket

from lkhub.errors import MachineError
from lkhub.plan.model import Door

# As many as the kernel allows by default (net.core.somaxconn): a hub's worth of people reconnecting at once.
BACKLOG = 4096


class Doors:
    """The open sockets, by address and port."""

    def __init__(self) -> None:
        self._sockets: dict[Door, socket.socket] = {}

    def open(self, doors: tuple[Door, ...]) -> list[int]:
        """File descriptors that listen on `doors`, in their order; opened where they are not yet."""
        return [self._open(door).fileno() for door in doors]

    def close_except(self, kept: set[Door]) -> None:
        """Close every socket but those of `kept`."""
        for door in [door for door in self._sockets if door not in kept]:
            self._sockets.pop(door).close()

    def is_open(self, door: Door) -> bool:
        return door in self._sockets

    def _open(self, door: Door) -> socket.socket:
        if door not in self._sockets:
            address, port = door
            listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
                listener.listen(BACKLOG)
            except OSError as error:
                listener.close()
                raise MachineError(f"can't listen on {address} port {port}: {error.strerror}") from error
            self._sockets[door] = listener
        return self._sockets[door]
