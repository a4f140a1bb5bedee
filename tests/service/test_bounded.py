"""A client that holds idle connections to the service takes nothing from others: real sockets."""

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lkhub.render import caddy
from lkhub.service import bounded
from lkhub.service.bounded import (
    MOST_PIPELINED,
    Bounds,
    bind_protocol,
)
from lkhub.service.places import Places
from lkhub.service.whole import EXTENSION
from tests.waiting import DEADLINE_SECONDS

# More than the system's buffers take for a client that does not read.
LARGE = 32 << 20

GET = b"GET / HTTP/1.1\r\nhost: hub\r\n\r\n"
SHORT, NEVER = 0.2, 3600.0


async def _read(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def _slow(_: Request) -> Response:
    await asyncio.sleep(SHORT * 3)
    return PlainTextResponse("at last")


async def _large(_: Request) -> Response:
    return PlainTextResponse(b"a" * LARGE)


@contextlib.asynccontextmanager
async def serving(bounds: Bounds, *routes: Route) -> AsyncIterator[Callable[[bytes], Any]]:
    """A service with these bounds; yields what connects to it and says something."""
    usual = Route("/", _read, methods=["GET", "POST"]), Route("/large", _large), Route("/slow", _slow)
    app = Starlette(routes=routes or usual)
    protocol = bind_protocol(bounds)
    # It logs as the service does (server.py).
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_level="warning", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))

        async def dial(said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
            writer.write(said)
            return reader, writer

        try:
            yield dial
        finally:
            server.should_exit = server.force_exit = True
            await task


async def _is_ended(reader: asyncio.StreamReader) -> bool:
    """Whether the service ends the connection without an answer."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await reader.read() == b""
    return True


@pytest.mark.anyio
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_answer_may_take_longer_than_a_request(before: int) -> None:
    """Alone, and after others that came with it."""
    async with serving(Bounds(Places(10, 10), request=SHORT, stall=NEVER)) as dial:
        reader, writer = await dial(GET * before + GET.replace(b"/", b"/slow", 1))
        await asyncio.wait_for(reader.readuntil(b"at last"), DEADLINE_SECONDS)
        writer.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nhost: hub\r\nx: ",
        b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: 9\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nhost: hub\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_who_says_nothing_or_half_of_a_request_is_ended(said: bytes) -> None:
    async def scene() -> None:
        bounds = Bounds(Places(1, 1), request=SHORT, stall=NEVER)
        async with serving(bounds) as dial:
            reader, writer = await dial(said)
            assert await _is_ended(reader)
            writer.close()
            # Its place is free again.
            reader, writer = await dial(GET)
            assert b" 200 " in await reader.readline()
            writer.close()

    asyncio.run(scene())


@pytest.mark.anyio
async def test_pause_after_a_body_that_came_after_its_answer_is_bounded() -> None:
    async def refuse(_: Request) -> Response:
        return PlainTextResponse("no", 415)

    route = Route("/", refuse, methods=["POST"])
    async with serving(Bounds(Places(9, 9), request=SHORT, stall=NEVER), route) as dial:
        reader, writer = await dial(b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: 1\r\n\r\n")
        async with asyncio.timeout(DEADLINE_SECONDS):
            await reader.readuntil(b"no")
        writer.write(b"a")
        assert await _is_ended(reader)
        writer.close()


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    async with asyncio.timeout(DEADLINE_SECONDS):
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65536):
                answer += part
    return answer


HEADERS = [(b"content-length", b"5"), (b"content-type", b"text/plain")]


class InOnePiece:
    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        await scope["extensions"][EXTENSION](201, HEADERS, b"whole")


class InTwo:
    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
        await send({"type": "http.response.body", "body": b"whole"})


@pytest.mark.anyio
@pytest.mark.parametrize("requests", [1, 2, MOST_PIPELINED])
@pytest.mark.parametrize("last", [b"HTTP/1.1\r\nconnection: close", b"HTTP/1.0"])
async def test_response_in_one_piece_is_as_uvicorns(requests: int, last: bytes) -> None:
    """After as many on the same connection, which then ends."""
    routes = Route("/one", InOnePiece()), Route("/two", InTwo())
    async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER), *routes) as dial:
        found = []
        for path in (b"/one", b"/two"):
            head = b"GET %s %%s\r\nhost: hub\r\n\r\n" % path
            reader, writer = await dial(head % b"HTTP/1.1" * (requests - 1) + head % last)
            found.append(re.sub(rb"date: [^\r]*\r\n", b"", await read_to_end(reader)))
            writer.close()
    assert found[0] == found[1]
    assert found[0].count(b"whole") == requests


def test_client_that_has_sent_everything_still_gets_its_answer() -> None:
    async def scene() -> None:
        async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER)) as dial:
            reader, writer = await dial(GET)
            writer.write_eof()
            assert (await read_to_end(reader)).endswith(b"0 bytes")
            writer.close()

    asyncio.run(scene())


def test_stream_ends_with_its_client() -> None:
    async def scene() -> None:
        ended = asyncio.Event()

        async def stream() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def answer(_: Request) -> Response:
            return StreamingResponse(stream())

        async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER), Route("/", answer)) as dial:
            reader, writer = await dial(GET)
            async with asyncio.timeout(DEADLINE_SECONDS):
                await reader.readuntil(b"first")
                writer.close()
                await ended.wait()

    asyncio.run(scene())


def test_half_of_a_second_request_is_ended_too() -> None:
    async def scene() -> None:
        async with serving(Bounds(Places(9, 9), request=SHORT, stall=NEVER)) as dial:
            second = b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: 9\r\n\r\nhalf"
            reader, writer = await dial(GET + second)
            async with asyncio.timeout(DEADLINE_SECONDS):
                with contextlib.suppress(ConnectionError):
                    assert (await reader.read()).count(b"HTTP/1.1 200") == 1
            writer.close()

    asyncio.run(scene())


def test_who_does_not_take_an_answer_is_ended() -> None:
    async def scene() -> None:
        places = Places(1, 1)
        async with serving(Bounds(places, request=NEVER, stall=SHORT)) as dial:
            _, unread = await dial(b"GET /large HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n")
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not places.held("127.0.0.1"):
                    await asyncio.sleep(0.01)
                while places.held("127.0.0.1"):
                    await asyncio.sleep(0.01)
            unread.close()

    asyncio.run(scene())


def test_bounds_are_those_of_the_edge() -> None:
    """The limits are in two places, since the service does not import the renderer."""
    assert f"{bounded.REQUEST_SECONDS:.0f}s" == caddy.BODY == caddy.HANDSHAKE
    assert f"{bounded.STALL_SECONDS:.0f}s" == caddy.STALL
    assert bounded.MOST_PER_CLIENT == caddy.CONNECTIONS_PER_ADDRESS


def test_a_whole_request_and_a_reader_have_their_time() -> None:
    async def scene() -> None:
        async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER)) as dial:
            reader, writer = await dial(b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: 9\r\n\r\nhalf")
            writer.write(b"whole")
            assert b" 200 " in await reader.readline()
            writer.close()
            reader, writer = await dial(b"GET /large HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n")
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert len(await reader.read()) > LARGE
            writer.close()

    asyncio.run(scene())


def test_who_gets_no_place_is_ended_at_once_and_leaves_none_behind() -> None:
    async def scene() -> None:
        places = Places(2, 2)
        async with serving(Bounds(places, request=NEVER, stall=NEVER)) as dial:
            held = [await dial(GET) for _ in range(2)]
            for reader, _ in held:
                assert b" 200 " in await reader.readline()
            reader, refused = await dial(b"")
            assert await _is_ended(reader)
            refused.close()
            assert places.held("127.0.0.1") == 2
            for _, writer in held:
                writer.close()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while places.held("127.0.0.1"):
                    await asyncio.sleep(0.01)

    asyncio.run(scene())


# As most systems start programs: few files, and leave to have more.
_START = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from lkhub.service.bounded import raise_file_limit
print(raise_file_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(("soft", "hard", "got"), [(64, 64, 64), (64, 128, 128), (128, 512, 512)])
def test_the_service_takes_the_files_that_it_may_have(soft: int, hard: int, got: int) -> None:
    done = subprocess.run([sys.executable, "-c", _START, str(soft), str(hard)], capture_output=True, text=True)
    assert done.stdout.split() == [str(got), str(got)], done.stderr
