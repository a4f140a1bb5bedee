"""The supervisor's end of its control socket. `lkhub.host.control` has the other one, and what is said."""

import contextlib
import json
import math
import select
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from lkhub import __version__
from lkhub.errors import EXIT_BUG, HubError, InputError, MachineError, describe_error, is_refusal, pack_error
from lkhub.host import files
from lkhub.source.json_text import parse_json
from lkhub.wire.message import MAX_REQUEST_BYTES, RESTART, Message, as_message, describe_too_long

Tell = Callable[[str], None]
"""Hears what is being done, one line for people at a time."""

Handler = Callable[[Mapping[str, Any], Tell], Awaitable[Any]]
"""Answers one request. It may tell what it is doing."""

# A command reads what it asked for; one that doesn't (Ctrl-Z) must not keep the supervisor from ending.
SEND_SECONDS = 5.0


async def serve_control(path: str, handlers: Mapping[str, Handler], *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """Answer requests on the socket `path` until cancelled. The caller holds the lock of the state directory,
    so a socket that is there is left over."""
    files.remove(path)
    files.check_socket_path(path)
    listener = await anyio.create_unix_listener(path, mode=0o600)
    task_status.started()
    async with listener:
        await listener.serve(lambda stream: _answer(stream, {"ping": _ping, **handlers}))


async def _ping(_: Mapping[str, Any], __: Tell) -> Any:
    return {}


async def _answer(stream: anyio.abc.SocketStream, handlers: Mapping[str, Handler]) -> None:
    answer: dict[str, Any] | None = None
    async with stream:
        try:
            line = await BufferedByteReceiveStream(stream).receive_until(b"\n", MAX_REQUEST_BYTES)
            if _has_left(stream):
                return
            sender, texts = anyio.create_memory_object_stream[str](math.inf)
            with texts:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_send_progress, stream, texts)
                    with sender:
                        answer = await _handle(line, handlers, sender.send_nowait)
        except anyio.DelimiterNotFound:
            answer = {"error": pack_error(describe_too_long())}
        except (anyio.IncompleteRead, anyio.BrokenResourceError):
            return  # the command left before it said what it wants
        finally:
            # Shielded: the answer to `stop` must still go out while everything else is cancelled.
            if answer is not None:
                with anyio.move_on_after(SEND_SECONDS, shield=True):
                    await _send(stream, {**answer, "version": __version__})


def _has_left(stream: anyio.abc.SocketStream) -> bool:
    """Whether the command does not wait for its answer any more. A command that has told its user that this supervisor
    does not answer must not take effect when it goes on."""
    poll = select.poll()
    poll.register(stream.extra_attributes[SocketAttribute.raw_socket]().fileno(), 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


async def _send_progress(stream: anyio.abc.SocketStream, texts: anyio.abc.ObjectReceiveStream[str]) -> None:
    async for text in texts:
        await _send(stream, {"progress": text})


async def _send(stream: anyio.abc.SocketStream, message: Mapping[str, Any]) -> None:
    # The command may not have waited for it.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stream.send(json.dumps(message).encode() + b"\n")


async def _handle(line: bytes, handlers: Mapping[str, Handler], tell: Tell) -> dict[str, Any]:
    try:
        request = _read_request(line)
        handler = handlers.get(request["do"])
        if handler is None:
            raise InputError(f"the running supervisor (lkhub {__version__}) can't do that", hints=RESTART)
        return {"ok": await handler(request, tell if request.get("progress") is True else _ignore)}
    except HubError as error:
        return {"error": pack_error(error)}
    except Exception as error:
        if is_refusal(error):
            return {
                "error": pack_error(MachineError(f"the hub's supervisor can't do that now: {describe_error(error)}"))
            }
        # A bug in one answer must not end the supervisor, and every call with it.
        message = f"this is a bug in lkhub: {type(error).__name__} while answering"
        return {"error": {"message": message, "hints": [], "exit_code": EXIT_BUG}}


def _ignore(_: str) -> None:
    pass


def _read_request(line: bytes) -> Mapping[str, Any]:
    def complain(key: str) -> HubError:
        return InputError(f"the running supervisor (lkhub {__version__}) needs to be told {key!r}", hints=RESTART)

    try:
        request = as_message(parse_json(line), complain)
    except ValueError:
        request = None
    if not isinstance(request, Message) or not isinstance(request["do"], str):
        raise InputError("not a request that the supervisor knows")
    return request
