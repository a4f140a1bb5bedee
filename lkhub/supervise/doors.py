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
        """File descriptors that listen on `doors`, in their order; opened where they are not yet. One that only the
        child may open is left to it: its program may have a file capability for ports below 1024. MachineError where
        one can't be opened for another reason."""
        opened = [self._open(door) for door in doors]
        return [listener.fileno() for listener in opened if listener is not None]

    def close_except(self, kept: set[Door]) -> None:
        """Close every socket but those of `kept`."""
        for door in [door for door in self._sockets if door not in kept]:
            self._sockets.pop(door).close()

    def is_open(self, door: Door) -> bool:
        return door in self._sockets

    def _open(self, door: Door) -> socket.socket | None:
        if door not in self._sockets:
            address, port = door
            try:
                self._sockets[door] = _listen(address, port)
            except PermissionError:
                return None
            except OSError as error:
                where = address or "every address"
                raise MachineError(f"can't listen on {where} port {port}: {error.strerror}") from error
        return self._sockets[door]


def _listen(address: str, port: int) -> socket.socket:
    is_dual = not address and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual or ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=BACKLOG, dualstack_ipv6=is_dual)
