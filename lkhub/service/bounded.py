"""Connections with bounds. Where no edge runs, browsers connect to this service itself.

uvicorn has a deadline for the pause between two requests alone. A client that connects and says nothing, or half of a
request, or does not take its answer, would keep a descriptor for ever, and with enough of them shut out all other
clients.
"""

import asyncio
import errno
import logging
import resource
import time
from functools import partial
from itertools import chain

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lkhub.service.places import Places, client_of, files_for, places_for
from lkhub.service.whole import EXTENSION, send_whole

# As at the edge (lkhub/render/caddy.py): how long a whole request may take to arrive, and how long a response may wait
# for its client.
REQUEST_SECONDS = 10.0
STALL_SECONDS = 30.0

# As at the edge. Memory is bounded by MOST_OPEN where descriptors are plenty: up to 32 KiB for half a request.
MOST_PER_CLIENT = 1000
MOST_OPEN = 4096

# Browsers send up to a few KiB of headers, in some twenty fields. A field takes a hundred bytes of memory besides its
# own.
MOST_HEAD_BYTES = 16 * 1024
MOST_FIELDS = 100

# Requests that one connection may have sent before the first of them is answered. Browsers send none.
MOST_PIPELINED = 16

# How often the log says that clients are refused, or that no connection can be accepted.
_TOLD_EVERY_SECONDS = 60.0


# More lines than a healthy service writes.
LOG_LINES = 20


class FewLines(logging.Filter):
    """At most LOG_LINES a second: uvicorn logs every invalid request, from every client."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        second = int(record.created)
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= LOG_LINES


# The errors of accept(2) after which asyncio tries again in a second (asyncio/selector_events.py).
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class RareExhaustion(logging.Filter):
    """One line a minute while the machine is out of descriptors or memory for connections. asyncio logs a traceback for
    each failed accept, thousands a second: it tries as often as its backlog is long (up to Python 3.12)."""

    def __init__(self) -> None:
        super().__init__()
        self._told = -_TOLD_EVERY_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            return True
        now = time.monotonic()
        if now - self._told < _TOLD_EVERY_SECONDS:
            return False
        self._told = now
        reason = (error.strerror or str(error)).lower()
        record.msg, record.args = "no more connections can be taken: %s; tried again every second", (reason,)
        record.exc_info = record.exc_text = None
        return True


def raise_file_limit() -> int:
    """Raise the limit of open files to what the service needs, if allowed. Returns the limit. Most systems start
    programs with 1,024 and let them have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_for(MOST_OPEN)
    may_have = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft >= may_have:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (may_have, hard))
    return may_have


def make_places(files: int) -> Places:
    """The places for which a limit of open files is enough."""
    return Places(places_for(files, MOST_OPEN), MOST_PER_CLIENT)


class _Dropped(list[tuple[bytes, bytes]]):
    """Headers that are not kept."""

    def append(self, field: tuple[bytes, bytes]) -> None:
        pass


class Bounds:
    """What the connections of one service have in common. Deadlines are in seconds."""

    def __init__(self, places: Places, request: float = REQUEST_SECONDS, stall: float = STALL_SECONDS) -> None:
        self.places = places
        self.request = request
        self.stall = stall
        self._told = -_TOLD_EVERY_SECONDS

    def tell_refused(self, client: str) -> None:
        """Log that a client gets no connection, at most once in a while."""
        now = time.monotonic()
        if now - self._told >= _TOLD_EVERY_SECONDS:
            self._told = now
            held = self.places.held(client)
            logging.getLogger("uvicorn.error").warning("%s has %d connections, and gets no more", client, held)


def bind_protocol(bounds: Bounds) -> type[HttpToolsProtocol]:
    """uvicorn's protocol with these bounds."""

    class Bound(BoundedProtocol):
        pass

    Bound.bounds = bounds
    return Bound


class BoundedProtocol(HttpToolsProtocol):
    """One connection. If it breaks a bound, it is closed without a response."""

    bounds: Bounds
    _place: str | None = None
    _request_timer: asyncio.TimerHandle | None = None
    _request_end: float | None = None
    """When the request that is awaited must have arrived, on the loop's clock. The timer is set again only once it has
    run: setting it for each request takes as long as parsing one."""
    _stall_timer: asyncio.TimerHandle | None = None
    _head: int | None = 0
    """How many bytes have arrived of a head that has not ended, or after the body's last chunk; None while a body
    arrives."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        client = client_of(self.client[0]) if self.client else "127.0.0.1"
        if not self.bounds.places.enter(client):
            self.bounds.tell_refused(client)
            transport.abort()
            return
        self._place = client
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._request_timer)
        self._request_timer = self._request_end = None
        _cancel(self._stall_timer)
        self._stall_timer = None
        if self._place is not None:
            self.bounds.places.leave(self._place)
            self._place = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # One read has up to 256 KiB. Of a head that begins after another request, the part in the same piece is not
        # counted.
        for start in range(0, len(data), MOST_HEAD_BYTES):
            self._receive(data[start : start + MOST_HEAD_BYTES])
            if self.transport.is_closing():
                return

    def _receive(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and (self._head > MOST_HEAD_BYTES or len(self.headers or ()) > MOST_FIELDS):
            self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open. A client may say that it has sent everything, and still read the answer
        (RFC 9112, section 9.6), but not a stream of events: without its end, that a client is gone would show only
        when something is sent to it for the second time."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:
            self.cycle.keep_alive = False
        return answering and not self.cycle.chunked_encoding

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_request()

    def on_headers_complete(self) -> None:
        self._head = None
        # A head that came in one piece was not counted. uvicorn answers with 400 to what is raised here.
        if len(self.headers) > MOST_FIELDS or self._measure_head() > MOST_HEAD_BYTES:
            raise ValueError("the head is too large")
        # A whole read of requests is parsed at once, and each of them would be kept until those before are answered.
        if len(self.pipeline) >= MOST_PIPELINED:
            self.transport.abort()
            return
        if self.parser.should_upgrade() and self._has_body():
            self._refuse_upgrade()
            return
        super().on_headers_complete()
        # Fields after the body (trailers) are dropped, as RFC 9112, section 7.1.2 lets a server do. uvicorn adds them
        # to the request's own, as if a proxy had judged them.
        self.headers = _Dropped()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope["extensions"] = {EXTENSION: partial(send_whole, cycle)}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)

    def _measure_head(self) -> int:
        return len(self.url) + sum(map(len, chain.from_iterable(self.headers)))

    def _has_body(self) -> bool:
        sizes = [value for name, value in self.headers if name in (b"content-length", b"transfer-encoding")]
        return any(size != b"0" for size in sizes)

    def _refuse_upgrade(self) -> None:
        """After a head with `Upgrade`, or with the method CONNECT, httptools takes the body for the next request. So a
        client could have a proxy pass on a request that the proxy has not judged."""
        if self.cycle is None or self.cycle.response_complete:
            self.send_400_response("This service knows HTTP/1.1 alone. Send the request without Upgrade.")
        else:
            self.transport.abort()

    def _unsupported_upgrade_warning(self) -> None:
        """Clients may offer another protocol with each request, which is answered all the same. uvicorn would log the
        advice to install a library."""

    def on_chunk_header(self) -> None:
        """The size of a chunk was read. After that of the last one no body comes, but as many trailers as the client
        likes."""
        self._head = 0

    def on_body(self, body: bytes) -> None:
        self._head = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head = 0
        self._request_end = None
        # Its answer may have been sent before the end of its body came, and so before the next request was awaited.
        if self.cycle is not None and self.cycle.response_complete:
            self._await_request()

    def on_response_complete(self) -> None:
        # As in uvicorn, without its timer for the pause between two requests: each response would set one, and each
        # request clear it. `_await_request` bounds the pause too.
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
        # The end of a response may wait in a buffer that is too short to trigger `pause_writing`.
        self._await_reader()
        # A request of the pipeline that has just begun is not awaited, and may take longer.
        if self.cycle.response_complete:
            self._await_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        _cancel(self._stall_timer)
        self._stall_timer = None
        super().resume_writing()

    def _await_request(self) -> None:
        if self._request_end is None and self._place is not None:
            self._request_end = self.loop.time() + self.bounds.request
            if self._request_timer is None:
                self._request_timer = self.loop.call_later(self.bounds.request, self._end_request)

    def _end_request(self) -> None:
        self._request_timer = None
        if self._request_end is None:
            return
        if (left := self._request_end - self.loop.time()) > 0:
            self._request_timer = self.loop.call_later(left, self._end_request)
        else:
            self.transport.abort()

    def _await_reader(self) -> None:
        if self._stall_timer is None and self._place is not None and self.transport.get_write_buffer_size():
            self._stall_timer = self.loop.call_later(self.bounds.stall, self._end_stalled)

    def _end_stalled(self) -> None:
        self._stall_timer = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    """Stop a timer that may not run."""
    if timer is not None:
        timer.cancel()
