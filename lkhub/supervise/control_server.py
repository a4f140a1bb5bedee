"""The server on the supervisor's control socket. `lkhub.host.control` is the client; `lkhub.wire.control` has the
messages.

h11 reads and writes HTTP. It is no new dependency: the client that asks the engine's processes needs it too.
"""

import contextlib
import json
import math
import select
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import anyio.abc
import h11
from anyio.abc import SocketAttribute

from lkhub import __version__
from lkhub.errors import EXIT_BUG, HubError, InputError, MachineError, UnwellError, describe_error, is_refusal
from lkhub.host import files
from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import MissingKeyError, unpack
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.exchange import (
    JSON,
    JSON_LINES,
    MAX_REQUEST_BYTES,
    Ping,
    Pong,
    Progress,
    Request,
    describe_missing,
    describe_other_version,
    describe_too_long,
    describe_unknown,
)
from lkhub.wire.failure import Failure, FailureAnswer
from lkhub.wire.message import dump_message, has_other_version

Tell = Callable[[str], None]
"""Called with each step of the work, as one line for people."""

Handler = Callable[[Any, Tell], Awaitable[object]]
"""Answers one request. It may report its steps meanwhile."""

# Each handler takes its own class of request, which the type of a mapping can't express.
Handlers: TypeAlias = Mapping[type[Request[Any]], Handler]

_CODES = {InputError.exit_code: 400, UnwellError.exit_code: 409, MachineError.exit_code: 503, EXIT_BUG: 500}
"""The HTTP status of a failure, by lkhub's exit code."""


# How many commands are answered at once; others wait in the socket's queue. Each of them holds a descriptor, and
# without a free one no process can be started again.
MAX_CONNECTIONS = 32


async def serve_control(
    path: str,
    handlers: Handlers,
    exchanges: anyio.abc.TaskGroup,
    timings: Timings = USUAL,
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    """Answer requests on the socket `path` until cancelled. The caller holds the lock of the state directory, so an
    existing socket file is a leftover.

    Requests are handled in `exchanges`, which outlives the socket: when it fails, for example because no descriptor is
    free for a new connection, a change that is half made must still be finished.
    """
    files.remove(path)
    files.check_socket_path(path)
    listener = await anyio.create_unix_listener(path, mode=0o600)
    task_status.started()
    handlers = {Ping: _ping, **handlers}
    places = anyio.Semaphore(MAX_CONNECTIONS, fast_acquire=True)

    async def answer(stream: anyio.abc.SocketStream) -> None:
        # A bug in sending one answer must not reach the task group, which would end the supervisor and every call.
        with contextlib.suppress(Exception):
            try:
                await _answer(_Exchange(stream), handlers, timings)
            finally:
                places.release()

    async with listener:
        while True:
            await places.acquire()
            exchanges.start_soon(answer, await listener.accept())


async def _ping(_: Ping, __: Tell) -> Pong:
    return Pong()


@dataclass(frozen=True)
class _Asked:
    """A request as received. `lines`: the command wants progress lines before the answer."""

    method: str
    path: str
    query: str
    lines: bool
    body: bytes

    @property
    def request(self) -> str | bytes:
        """The request as JSON. A GET has it in its query, with numbers as the only values."""
        if self.method != "GET":
            return self.body or "{}"
        pairs = (part.partition("=") for part in self.query.split("&") if part)
        return "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, _, value in pairs) + "}"


@dataclass
class _Exchange:
    """One request over a connection, and its answer."""

    stream: anyio.abc.SocketStream
    lines: bool = False
    _http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    _begun: bool = False

    async def receive(self) -> _Asked:
        """Raises InputError if it is not a request or is too long, and EndOfStream if the command closes the connection
        before the request is complete."""
        head, body = None, bytearray()
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise InputError("not a request that the supervisor knows") from None
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                # At the end of the stream this raises, so h11 never takes an incomplete request for a complete one.
                self._http.receive_data(await self.stream.receive())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_REQUEST_BYTES:
                    raise describe_too_long()
            else:
                break
        if head is None or not isinstance(event, h11.EndOfMessage):
            raise anyio.EndOfStream
        self.lines = JSON_LINES in dict(head.headers).get(b"accept", b"").decode("latin-1")
        path, _, query = head.target.decode("latin-1").partition("?")
        return _Asked(head.method.decode("latin-1"), path, query, self.lines, bytes(body))

    def has_left(self) -> bool:
        """Whether the command has stopped waiting for the answer. Once a command has told its user that the supervisor
        does not answer, its request must not be carried out by a supervisor that resumes."""
        poll = select.poll()
        poll.register(self.stream.extra_attributes[SocketAttribute.raw_socket]().fileno(), 0)
        return any(events & select.POLLHUP for _, events in poll.poll(0))

    async def send_progress(self, texts: anyio.abc.ObjectReceiveStream[str]) -> None:
        async for text in texts:
            await self._begin(200)
            await self._send(h11.Data(data=dump_message(Progress(text)).encode()))

    async def finish(self, answer: "_Answer") -> None:
        body = answer.text.encode()
        await self._begin(answer.code, len(body))
        await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def _begin(self, code: int, length: int | None = None) -> None:
        """`length` in bytes; None if it is not known yet."""
        if self._begun:
            return
        self._begun = True
        headers = [("Content-Type", JSON_LINES if self.lines else JSON), ("Connection", "close")]
        if length is not None:
            headers.append(("Content-Length", str(length)))
        await self._send(h11.Response(status_code=code, headers=headers))

    async def _send(self, event: h11.Event) -> None:
        # The command may have closed the connection.
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, h11.LocalProtocolError):
            if sent := self._http.send(event):
                await self.stream.send(sent)


@dataclass(frozen=True)
class _Answer:
    text: str
    code: int = 200


async def _answer(exchange: _Exchange, handlers: Handlers, timings: Timings) -> None:
    answer: _Answer | None = None
    async with exchange.stream:
        try:
            asked: _Asked | None = None
            with anyio.move_on_after(timings.request):
                asked = await exchange.receive()
            if asked is None or exchange.has_left():
                return
            sender, texts = anyio.create_memory_object_stream[str](math.inf)
            with texts:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(exchange.send_progress, texts)
                    with sender:
                        answer = await _handle(asked, handlers, sender.send_nowait if asked.lines else _ignore)
        except InputError as error:
            answer = _fail(Failure.of(error))
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return  # the command closed the connection before its request was complete
        except Exception as error:
            answer = _fail_by_bug(error)
        finally:
            # Shielded: the answer to `stop` must still go out while everything else is cancelled.
            if answer is not None:
                with anyio.move_on_after(timings.send, shield=True):
                    await exchange.finish(answer)


async def _handle(asked: _Asked, handlers: Handlers, tell: Tell) -> _Answer:
    try:
        request = _read_request(asked, handlers)
        return _Answer(_dump(await handlers[type(request)](request, tell)))
    except HubError as error:
        return _fail(Failure.of(error))
    except Exception as error:
        if is_refusal(error):
            refused = f"the hub's supervisor can't do that now: {describe_error(error)}"
            return _fail(Failure.of(MachineError(refused)))
        return _fail_by_bug(error)


def _fail_by_bug(error: Exception) -> _Answer:
    """A bug in answering one request must not end the supervisor and with it every call."""
    return _fail(Failure(f"this is a bug in lkhub: {describe_error(error)} while answering", exit_code=EXIT_BUG))


def _fail(failure: Failure) -> _Answer:
    return _Answer(_dump(FailureAnswer(failure)), _CODES[failure.exit_code])


def _dump(answer: object) -> str:
    """An answer has lkhub's version: a command of another version that misses a key names both versions."""
    return dump_message(answer, lkhub=__version__)


def _ignore(_: str) -> None:
    pass


def _read_request(asked: _Asked, handlers: Handlers) -> Request[Any]:
    kind = next((kind for kind in handlers if (kind.method, kind.path) == (asked.method, asked.path)), None)
    if kind is None:
        raise describe_unknown(f"{asked.method} {asked.path}")
    try:
        message = parse_finite_json(asked.request)
        if has_other_version(message) and not kind.in_every_version:
            raise describe_other_version()
        return unpack(kind, message)
    except MissingKeyError as error:
        raise describe_missing(error.key) from None
    except ValueError:
        raise InputError("not a request that the supervisor knows") from None
