"""Heads, bodies and upgrades of any shape, and what they cost the service."""

import asyncio
import contextlib
from unittest.mock import Mock

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from lkhub.service.bounded import (
    MOST_FIELDS,
    MOST_HEAD_BYTES,
    MOST_PIPELINED,
    Bounds,
    bind_protocol,
)
from lkhub.service.places import Places
from tests.service.test_bounded import GET, NEVER, read_to_end, serving
from tests.waiting import DEADLINE_SECONDS

CHUNKED = b"POST / HTTP/1.1\r\nhost: hub\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n"


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\nx: ", b"GET /", b"GET / HTTP/1.1\r\n", CHUNKED + b"0\r\nx: ", CHUNKED + b"0\r\n"],
)
def test_head_without_end_is_ended(said: bytes) -> None:
    async def scene() -> None:
        places = Places(1, 1)
        async with serving(Bounds(places, request=NEVER, stall=NEVER)) as dial:
            _, writer = await dial(said)
            async with asyncio.timeout(DEADLINE_SECONDS):
                with contextlib.suppress(ConnectionError):
                    while True:
                        writer.write(b"a: b\r\n" * 100 if said.endswith(b"\n") else b"a" * 1000)
                        await writer.drain()
            writer.close()
            assert places.held("127.0.0.1") == 0

    asyncio.run(scene())


@pytest.mark.anyio
async def test_fields_after_a_body_are_not_taken_for_headers() -> None:
    async def tell(request: Request) -> Response:
        await request.body()
        return PlainTextResponse(", ".join(name.decode() for name, _ in request.scope["headers"]) + "; end")

    route = Route("/", tell, methods=["POST"])
    async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER), route) as dial:
        reader, writer = await dial((CHUNKED + b"0\r\nx-forwarded-for: 192.0.2.1\r\n\r\n") * 2)
        async with asyncio.timeout(DEADLINE_SECONDS):
            for _ in range(2):
                assert (await reader.readuntil(b"end")).endswith(b"\r\n\r\nhost, transfer-encoding; end")
        writer.close()


def receive(data: bytes) -> tuple[HttpToolsProtocol, Mock]:
    """A connection, and its transport, after these bytes have come in one piece: more than real sockets give at
    once."""
    config = uvicorn.Config(Starlette(), ws="none", lifespan="off", log_config=None)
    protocol = bind_protocol(Bounds(Places(9, 9)))(config, ServerState(), {})
    transport = Mock(spec=asyncio.Transport, get_extra_info=Mock(return_value=None))
    transport.is_closing.side_effect = lambda: transport.abort.called or transport.close.called
    protocol.connection_made(transport)
    protocol.data_received(data)
    protocol.connection_lost(None)
    return protocol, transport


HEAD = b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: 9\r\n"


@pytest.mark.anyio
@pytest.mark.parametrize("more", [b"a:\r\n" * MOST_FIELDS, b"a: " + b"b" * MOST_HEAD_BYTES + b"\r\n"])
@pytest.mark.parametrize("before", [b"", GET])
async def test_head_that_comes_in_one_piece_is_bounded(before: bytes, more: bytes) -> None:
    """A thousand connections with sixteen thousand fields each took a GiB, for as long as their bodies did not come."""
    protocol, transport = receive(before + HEAD + more + b"\r\n")
    assert b" 400 " in transport.write.call_args[0][0]
    transport.close.assert_called()
    assert not protocol.pipeline


@pytest.mark.anyio
async def test_half_of_a_head_has_few_fields() -> None:
    _, transport = receive(HEAD + b"a:\r\n" * MOST_FIELDS)
    transport.abort.assert_called()


@pytest.mark.anyio
@pytest.mark.parametrize("before", [b"", GET, CHUNKED + b"0\r\n\r\n"])
async def test_half_of_a_head_is_short(before: bytes) -> None:
    """After another request in the same read, it could have 256 KiB until the deadline."""
    _, transport = receive(before + HEAD + b"a: " + b"b" * 3 * MOST_HEAD_BYTES)
    transport.abort.assert_called()


@pytest.mark.anyio
async def test_fields_after_a_body_are_not_kept() -> None:
    protocol, _ = receive(CHUNKED + b"0\r\n" + b"a:\r\n" * 20_000)
    assert len(protocol.headers) == 0


@pytest.mark.anyio
async def test_large_chunks_are_no_large_head() -> None:
    async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER)) as dial:
        size = 4 * MOST_HEAD_BYTES
        reader, writer = await dial(b"POST / HTTP/1.1\r\nhost: hub\r\ntransfer-encoding: chunked\r\n\r\n")
        async with asyncio.timeout(DEADLINE_SECONDS):
            for _ in range(3):
                for part in (b"%x\r\n" % size, b"a" * size, b"\r\n"):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
            await reader.readuntil(b"%d bytes" % (3 * size))
        writer.close()


def test_large_body_after_a_head_is_no_large_head() -> None:
    async def scene() -> None:
        async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER)) as dial:
            size = 4 * MOST_HEAD_BYTES
            post = b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: %d\r\n\r\n" % size + b"a" * size
            reader, writer = await dial(post + post)
            async with asyncio.timeout(DEADLINE_SECONDS):
                for _ in range(2):
                    await reader.readuntil(b"%d bytes" % size)
            writer.close()

    asyncio.run(scene())


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
@pytest.mark.parametrize("framing", [b"content-length: %d" % len(GET), b"transfer-encoding: chunked"])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"CONNECT"])
def test_body_of_an_upgrade_is_no_request(method: bytes, framing: bytes, before: bytes) -> None:
    upgrade = method + b" / HTTP/1.1\r\nhost: hub\r\nconnection: upgrade\r\nupgrade: h2c\r\n" + framing + b"\r\n\r\n"

    async def scene() -> None:
        async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER)) as dial:
            reader, writer = await dial(before)
            async with asyncio.timeout(DEADLINE_SECONDS):
                if before:
                    await reader.readuntil(b"0 bytes")
                writer.write(upgrade)
                line = await reader.readline()
                writer.write(GET)  # in a packet of its own, as a body may be
                with contextlib.suppress(ConnectionError):
                    rest = await reader.read()
                    assert b" 200 " not in rest
            assert b" 400 " in line
            writer.close()

    asyncio.run(scene())


def test_upgrade_without_a_body_is_answered_as_http_1(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER)) as dial:
            head = b"GET / HTTP/1.1\r\nhost: hub\r\nconnection: upgrade\r\nupgrade: h2c\r\n%s\r\n"
            for length in (b"", b"content-length: 0\r\n"):
                reader, writer = await dial(head % length)
                async with asyncio.timeout(DEADLINE_SECONDS):
                    assert b" 200 " in await reader.readline()
                    await reader.readuntil(b"0 bytes")
                    writer.write(GET)
                    assert b" 200 " in await reader.readline()
                writer.close()

    asyncio.run(scene())
    assert caplog.messages == []


def test_requests_that_wait_for_others_are_few() -> None:
    async def scene() -> None:
        async with serving(Bounds(Places(9, 9), request=NEVER, stall=NEVER)) as dial:
            reader, writer = await dial(GET * (MOST_PIPELINED + 1))
            async with asyncio.timeout(DEADLINE_SECONDS):
                for _ in range(MOST_PIPELINED + 1):
                    await reader.readuntil(b"0 bytes")
            writer.close()
            reader, writer = await dial(GET * 1000)
            assert (await read_to_end(reader)).count(b"0 bytes") < MOST_PIPELINED
            writer.close()

    asyncio.run(scene())
