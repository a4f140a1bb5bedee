"""The socket at which the hub gives the build of a web site out, and what goes over it: messages with descriptors.

The other end is in a sandbox, where only this socket of the hub's can be reached. It reads the project by a descriptor
of the hub's folder, and the hub reads the finished files by one of a folder there. What is above the hub's folder is
closed to the other end, which is another user, and the hub follows no path that goes up.
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from lkhub.host.files import explain_os_errors, remove
from lkhub.host.given import ensure_given_dir
from lkhub.wire.site_build import SOCKET

# The variables of a build, and its command. The kernel takes no more for a new process.
_MOST_BYTES = 8 << 20

_SIZE = struct.Struct("!I")

# pid, uid and gid (unix(7), SO_PEERCRED).
_CREDENTIALS = struct.Struct("3i")

Received: TypeAlias = tuple[bytes, list[int]]


@contextlib.contextmanager
def offered(folder: str) -> Iterator[socket.socket]:
    """The socket in the folder that the hub gives to the builds of one site. Whoever reaches the folder may connect.
    Raises MachineError."""
    path = f"{folder}/{SOCKET}"
    ensure_given_dir(folder)
    with contextlib.ExitStack() as stack:
        with explain_os_errors(path, "create"):
            remove(path)
            offer = stack.enter_context(socket.socket(socket.AF_UNIX))
            offer.bind(path)
            stack.callback(remove, path)
            os.chmod(path, 0o666)  # noqa: S103 (the state directory above is closed)
            offer.listen()
        yield offer


def connect(folder: str) -> socket.socket | None:
    """A connection to the hub; None where it has nothing to build."""
    hub = socket.socket(socket.AF_UNIX)
    try:
        hub.connect(f"{folder}/{SOCKET}")
    except OSError:
        hub.close()
        return None
    return hub


def find_user(connection: socket.socket) -> int:
    """The uid of the other end."""
    return int(_CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1])


def send(connection: socket.socket, message: bytes, descriptors: Sequence[int]) -> None:
    """Raises OSError."""
    socket.send_fds(connection, [_SIZE.pack(len(message))], descriptors)
    connection.sendall(message)


def receive(connection: socket.socket, descriptors: int, seconds: float | None = None) -> Received:
    """A message, and as many descriptors as belong to it. Raises OSError, also after `seconds`, and for what is no such
    message."""
    deadline = None if seconds is None else time.monotonic() + seconds
    _set_timeout(connection, deadline)
    head, received, *_ = socket.recv_fds(connection, _SIZE.size, descriptors, socket.MSG_CMSG_CLOEXEC)
    try:
        # The kernel may pass on one more, since it fills the space for them.
        if len(received) > descriptors:
            raise ConnectionError("it has sent more descriptors than belong there")
        head += _read(connection, _SIZE.size - len(head), deadline)
        (size,) = _SIZE.unpack(head)
        if size > _MOST_BYTES:
            raise ConnectionError("its message is too long")
        return _read(connection, size, deadline), received
    except BaseException:
        for descriptor in received:
            os.close(descriptor)
        raise


def _read(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    parts = []
    while size > 0:
        _set_timeout(connection, deadline)
        part = connection.recv(min(size, 1 << 16))
        if not part:
            raise ConnectionError("the other end has closed the connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _set_timeout(connection: socket.socket, deadline: float | None) -> None:
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:  # also where it goes on to send byte after byte
        raise TimeoutError("timed out")
    connection.settimeout(left)
