"""Takes over the listening sockets of a process, which keeps them too. The process gives them over its control socket
(`GET /sockets`, engine/internal/process/give.go)."""

import os
import socket
import time
from collections.abc import Collection

# A process that works answers within milliseconds. One that hangs must not keep the hub from being watched.
SECONDS = 1.0

_REQUEST = b"GET /sockets HTTP/1.0\r\n\r\n"

# Sockets in one part of the answer. The engine sends each in a part of its own.
_MOST = 16

Place = tuple[str, int]


def take_listeners(control: str, wanted: Collection[Place]) -> dict[Place, socket.socket]:
    """The TCP sockets that listen at these addresses and ports, from the process that answers at the control socket.
    Without those that it does not give; a process of an earlier version gives none. Blocks for SECONDS at most."""
    taken: dict[Place, socket.socket] = {}
    for number in _receive(control):
        try:
            given = socket.socket(fileno=number)
        except OSError:  # no socket
            os.close(number)
            continue
        place = _find_place(given)
        if place and place in wanted and place not in taken:
            taken[place] = given
        else:
            given.close()
    return taken


def _receive(control: str) -> list[int]:
    """The descriptors that come with the answer, until it ends, breaks off or takes too long."""
    numbers: list[int] = []
    deadline = time.monotonic() + SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(control)
            connection.sendall(_REQUEST)
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                text, came, _, _ = socket.recv_fds(connection, 4096, _MOST)
                for number in came:  # unlike all other descriptors in Python, these can be inherited
                    os.set_inheritable(number, False)
                numbers += came
                if not text:
                    break
        except OSError:  # it is gone, or hangs
            pass
    return numbers


def _find_place(given: socket.socket) -> Place | None:
    """Where a TCP socket listens; None for any other socket."""
    if given.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        if not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        address, port = given.getsockname()[:2]
    except OSError:  # of a protocol that has no such option
        return None
    return address, port
