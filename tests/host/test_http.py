import gzip
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import httpx
import pytest

from lkhub.host.http import local_client, read_body

pytestmark = pytest.mark.anyio

Serve = Callable[[anyio.abc.SocketStream], Awaitable[None]]


@asynccontextmanager
async def serving(path: str, serve: Serve) -> AsyncIterator[None]:
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield
        tasks.cancel_scope.cancel()


async def test_process_is_asked_over_its_socket_and_no_proxy_in_between(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    seen: list[bytes] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            seen.append(await stream.receive())
            await stream.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")

    path = str(short_dir / "x.sock")
    async with serving(path, serve), local_client(10, socket=path, headers={"x-who": "me"}) as client:
        assert (await client.get("http://control/status")).text == "ok"
    assert seen[0].startswith(b"GET /status HTTP/1.1\r\n")
    assert b"x-who: me" in seen[0]


async def test_process_that_says_nothing_is_not_waited_for(short_dir: Path) -> None:
    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    path = str(short_dir / "x.sock")
    async with serving(path, serve), local_client(0.05, socket=path) as client:
        with pytest.raises(httpx.TimeoutException):
            await client.get("http://control/status")


async def test_client_costs_nothing_to_make() -> None:
    """Preparing for TLS, which nothing here speaks, costs 25 ms of CPU: half a second for these."""
    began = time.process_time()
    for _ in range(20):
        local_client(1)
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize("module", ["lkhub.cli.serve, lkhub.service.server", "lkhub.supervise.run"])
def test_processes_that_run_as_long_as_the_hub_carry_nothing_that_shows_text(module: str) -> None:
    """httpx would load it for a command line of its own: 3 MiB in each, and 50 ms of each start."""
    shown = "sorted({name.partition('.')[0] for name in sys.modules} & {'pygments', 'rich'})"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print({shown})"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def answering(packed: bytes, encoding: str) -> httpx.MockTransport:
    """A server that compresses what it answers, whatever it is asked for."""
    headers = {"content-encoding": encoding}
    return httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed)))


def read(packed: bytes, encoding: str) -> bytes:
    with (
        httpx.Client(transport=answering(packed, encoding)) as client,
        client.stream("GET", "https://rtc.example.com/") as answer,
    ):
        return read_body(answer, 4096, 5.0)


BOMB = gzip.compress(bytes(32 * 1024 * 1024))


@pytest.mark.parametrize(
    ("packed", "encoding", "body"),
    [(BOMB, "gzip", bytes(4096)), (gzip.compress(BOMB), "gzip, gzip", b""), (BOMB, "br", b"")],
)
def test_answer_of_another_server_is_unpacked_no_further_than_it_is_read(
    packed: bytes, encoding: str, body: bytes
) -> None:
    """Of some hundred bytes it would make gigabytes before anything has counted them."""
    tracemalloc.start()
    try:
        assert read(packed, encoding) == body
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_answer_that_is_compressed_unasked_is_read() -> None:
    """As of a router whose pages lie compressed on it, or of a proxy that compresses everything."""
    assert read(gzip.compress(b"<h1>My router</h1>"), "GZIP") == b"<h1>My router</h1>"


def test_what_follows_the_end_of_a_compressed_answer_is_not_kept() -> None:
    """It need not end, and zlib would gather it beside the body, where no limit counts it."""
    taken: list[int] = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield gzip.compress(b"<h1>My router</h1>")
            for part in range(100):
                taken.append(part)
                yield bytes(64 * 1024)

    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Endless())
    )
    with httpx.Client(transport=transport) as client, client.stream("GET", "https://rtc.example.com/") as answer:
        assert read_body(answer, 4096, 5.0) == b"<h1>My router</h1>"
    assert taken == []


def test_answer_that_is_damaged_is_no_bug() -> None:
    with pytest.raises(httpx.ReadError, match="its answer is damaged"):
        read(b"<h1>My router</h1>", "gzip")
