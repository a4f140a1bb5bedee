"""Messages between a command and the running supervisor, both ends.

One connection carries one request and one answer, each a JSON object on a line, over a Unix socket that
only this user can open. Request: `{"do": VERB, …}`. Answer: `{"ok": …}` or
`{"error": {"message", "hints", "exit_code"}}`.
"""

import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from lkhub.errors import EXIT_BUG, HubError, InputError, MachineError, UnwellError, pack_error, unpack_error
from lkhub.host import files

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]

# A request names a path and a few variables; anything longer is not one of ours.
MAX_REQUEST_BYTES = 64 * 1024

# Room for the address of a Unix socket, with its closing zero: 108 on Linux, 104 on macOS.
MAX_SOCKET_PATH = 103

_RESTART = ("is it of another version of lkhub? `lkhub down`, then `lkhub up`, starts this one",)


async def serve_control(path: str, handlers: Mapping[str, Handler], *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Answer requests on the socket `path` until cancelled. The caller holds the lock of the state directory,
    so a socket that is there is left over."""
    files.remove(path)
    check_socket_path(path)
    listener = await anyio.create_unix_listener(path, mode=0o600)
    task_status.started()
    async with listener:
        await listener.serve(lambda stream: _answer(stream, handlers))


def check_socket_path(path: str) -> None:
    """Raise MachineError where the system can't open a socket with so long a name."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise MachineError(
            f"the state directory's path is too long for a socket: {path}",
            hints=("choose a shorter one with --state DIR",),
        )


async def _answer(stream: anyio.abc.SocketStream, handlers: Mapping[str, Handler]) -> None:
    async with stream:
        try:
            line = await BufferedByteReceiveStream(stream).receive_until(b"\n", MAX_REQUEST_BYTES)
            answer: dict[str, Any] = {"ok": await _handle(line, handlers)}
        except HubError as error:
            answer = {"error": pack_error(error)}
        except (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError):
            return  # whoever asked left before saying what
        except Exception as error:
            # A bug in one answer must not end the supervisor, and every call with it.
            message = f"this is a bug in lkhub: {type(error).__name__} while answering"
            answer = {"error": {"message": message, "hints": [], "exit_code": EXIT_BUG}}
        # Shielded: the answer to `stop` must still go out while everything else is cancelled. Who asked may
        # not have waited for it.
        with anyio.CancelScope(shield=True), contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await stream.send(json.dumps(answer).encode() + b"\n")


async def _handle(line: bytes, handlers: Mapping[str, Handler]) -> Any:
    try:
        request = json.loads(line)
        handler = handlers[request["do"]]
    except (ValueError, KeyError, TypeError):
        raise InputError("not a request that the supervisor knows") from None
    return await handler(request)


def ask(path: str, do: str, **fields: Any) -> Any:
    """Send a request to the supervisor and return its answer. Blocks for as long as the work takes.

    Raises NotRunningError where no supervisor listens, and the HubError that the supervisor answered.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunningError from None
        except OSError as error:
            raise MachineError(f"can't ask the running hub: {error.strerror or error}") from error
        line = b""
        with contextlib.suppress(ConnectionError), connection.makefile("rb") as reader:
            connection.sendall(json.dumps({"do": do, **fields}).encode() + b"\n")
            line = reader.readline()
    if not line:
        raise MachineError("the hub's supervisor ended before it answered", hints=("`lkhub logs hub` shows why",))
    try:
        answer = json.loads(line)
        if "ok" in answer:
            return answer["ok"]
        failure = unpack_error(answer["error"])
    except (ValueError, LookupError, TypeError):
        raise MachineError("the running supervisor gave an answer that makes no sense", hints=_RESTART) from None
    raise failure


class NotRunningError(UnwellError):
    """No supervisor listens for this state directory."""

    def __init__(self) -> None:
        super().__init__("the hub is not running", hints=("`lkhub up` starts it",))
