"""Listening sockets that the supervisor keeps open for its children.

A child is given the socket, not the address: while it restarts, clients wait in the socket's queue instead of being
refused, and their first attempt to reconnect succeeds.

Control sockets are kept too: on a file system that has become read-only, the next process could not bind its own.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Collection
from dataclasses import dataclass

from anyio import to_thread

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.host.control import is_served
from lkhub.host.listening import take_listeners
from lkhub.plan.process import HeldSocket

# The kernel's default maximum (net.core.somaxconn): room for all clients of a hub that reconnect at once.
BACKLOG = 4096

# The supervisor, the relay and the edge connect, each with one request at a time.
CONTROL_BACKLOG = 128


class HeldSockets:
    """The open sockets, by address and port, and control sockets by path."""

    def __init__(self) -> None:
        self._sockets: dict[HeldSocket, socket.socket] = {}
        self._controls: dict[str, _Control] = {}

    def open(self, wanted: tuple[HeldSocket, ...]) -> list[int]:
        """File descriptors that listen on `wanted`, in their order; a socket that is not open yet is opened. A socket
        that only the child may open is left out: its program may have a file capability for ports below 1024. Raises
        MachineError if a socket can't be opened for another reason."""
        opened = [self._open(held) for held in wanted]
        return [listener.fileno() for listener in opened if listener is not None]

    async def take(self, control: str, wanted: tuple[HeldSocket, ...]) -> None:
        """Take over those of the sockets `wanted` that the process at a control socket has, as another supervisor has
        given them to it. One that it does not give stays the process's own."""
        for place, taken in (await to_thread.run_sync(take_listeners, control, wanted)).items():
            held = HeldSocket(*place)
            if held in self._sockets:  # opened meanwhile
                taken.close()
            else:
                self._sockets[held] = taken

    def open_control(self, path: str) -> int | None:
        """A file descriptor that listens on the Unix socket `path`. None if another process listens there or the socket
        can't be bound: the child then tries to bind it, and its log says why that fails."""
        control = self._controls.get(path)
        if control is None or control.file != files.identify(path):
            # A socket whose file was removed can't be reached any more, and the child may have bound a new one.
            self.close_control(path)
            try:
                self._controls[path] = control = _listen_control(path)
            except OSError:
                return None
        return control.socket.fileno()

    def close_except(self, kept: set[HeldSocket], controls: Collection[str | None] = ()) -> None:
        """Close every socket but those of `kept` and the control sockets at the paths `controls`."""
        for held in [held for held in self._sockets if held not in kept]:
            self._sockets.pop(held).close()
        for path in [path for path in self._controls if path not in controls]:
            self.close_control(path)

    def close_control(self, path: str) -> None:
        """Close the control socket of a process that has ended, and that no other one follows: whoever asks there would
        wait for an answer."""
        if control := self._controls.pop(path, None):
            control.socket.close()
            with contextlib.suppress(OSError):  # a file that stays is harmless: the next process replaces it
                if files.identify(path) == control.file:
                    os.unlink(path)

    def is_open(self, held: HeldSocket) -> bool:
        return held in self._sockets

    def _open(self, held: HeldSocket) -> socket.socket | None:
        if held not in self._sockets:
            address, port = held
            try:
                self._sockets[held] = _listen(address, port)
            except PermissionError:
                return None
            except OSError as error:
                where = address or "every address"
                raise MachineError(f"can't listen on {where} port {port}: {error.strerror}") from error
        return self._sockets[held]


@dataclass(frozen=True)
class _Control:
    socket: socket.socket
    file: tuple[int, int] | None


def _listen_control(path: str) -> _Control:
    """Raises OSError if another process listens there or the socket can't be bound."""
    with contextlib.ExitStack() as failing:
        listener = failing.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            listener.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not stat.S_ISSOCK(os.lstat(path).st_mode) or is_served(path):
                raise
            os.unlink(path)
            listener.bind(path)
        os.chmod(path, files.FILE_MODE)
        listener.listen(CONTROL_BACKLOG)  # only now can a connection be made, with the right mode
        failing.pop_all()
        return _Control(listener, files.identify(path))


def _listen(address: str, port: int) -> socket.socket:
    is_dual = not address and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual or ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=BACKLOG, dualstack_ipv6=is_dual)
