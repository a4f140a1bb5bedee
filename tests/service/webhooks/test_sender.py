"""One event to one receiver, which may be anything."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from livekit.api import TokenVerifier, WebhookReceiver

from lkhub.livekit.webhooks import may_be_the_key
from lkhub.secret import Secret
from lkhub.service.webhooks.receiver_keys import ReceiverKeys
from lkhub.service.webhooks.sender import MAX_ANSWER_BYTES, Sender
from lkhub.wire.application import Receiver
from tests.certificates import make

pytestmark = pytest.mark.anyio

SECRET = Secret("XYZ" * 15)
BODY = '{"event":"room_started","id":"EV_1","room":{"name":"lobby ü"}}'
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Told:
    """A receiver that keeps the requests that it got, and answers each with the same bytes."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().splitlines()
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((headers | {"request": lines[0]}, body))
            writer.write(self.answer)
            await writer.drain()


@asynccontextmanager
async def listen(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    served: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append((asyncio.ensure_future(serve(reader, writer)), writer))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # A connection ends some turns of the loop later. The loop may end before, and would leave its socket open.
        for task, _ in served:
            task.cancel()
        await asyncio.gather(*(task for task, _ in served), return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for _, writer in served), return_exceptions=True)


@asynccontextmanager
async def sending(url: str, seconds: float = 30.0, private: bool = True) -> AsyncIterator[Sender]:
    sender = Sender(Receiver(url, (), private), ReceiverKeys(lambda: {"APIkey": SECRET}), seconds)
    try:
        yield sender
    finally:
        await sender.close()


async def test_receiver_gets_what_livekit_would_send() -> None:
    told = Told()
    async with listen(told) as port, sending(f"http://127.0.0.1:{port}/hook?x=1") as sender:
        assert await sender.send(BODY) == ""
        assert await sender.send(BODY) == ""
    headers, body = told.requests[0]
    assert headers["request"] == "POST /hook?x=1 HTTP/1.1"
    assert (headers["host"], headers["content-type"]) == (f"127.0.0.1:{port}", "application/webhook+json")
    event = WebhookReceiver(TokenVerifier("APIkey", SECRET.reveal())).receive(body.decode(), headers["authorization"])
    assert event.room.name == "lobby ü"
    assert told.connections == 1, "the connection is kept"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_success_is_one(status: int) -> None:
    told = Told(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
    async with listen(told) as port, sending(f"http://127.0.0.1:{port}/") as sender:
        assert await sender.send(BODY) == ""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 404, 410, 429, 500, 503])
async def test_any_other_status_is_none_and_no_redirect_is_followed(status: int) -> None:
    elsewhere = Told()
    async with listen(elsewhere) as other:
        location = f"http://127.0.0.1:{other}/".encode()
        told = Told(b"HTTP/1.1 %d X\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, location))
        async with listen(told) as port, sending(f"http://127.0.0.1:{port}/") as sender:
            problem = await sender.send(BODY)
    assert problem.startswith(f"answered {status}")
    assert ("redirects are not followed" in problem) == (status < 400)
    assert elsewhere.requests == []


async def test_answer_without_an_end_is_not_read() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with listen(pour) as port, sending(f"http://127.0.0.1:{port}/") as sender:
        assert await sender.send(BODY) == ""
    assert sent < 1000 * MAX_ANSWER_BYTES


@pytest.mark.parametrize("reset", [True, False])
async def test_connection_that_is_closed_at_one_key_is_tried_with_the_others(reset: bool) -> None:
    """A handler that raises an error may close the connection, with a reset or without, and without an answer."""
    taken = Told()

    async def refuse_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not seen:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            if reset:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            await taken(reader, writer)

    seen: list[bytes] = []
    async with listen(refuse_first) as port:
        keys = ReceiverKeys(lambda: {"APInew": Secret("new" * 15), "APIold": SECRET})
        sender = Sender(Receiver(url := f"http://127.0.0.1:{port}/", (), True), keys, 30)
        assert await sender.send(BODY) == ""
        await sender.close()
    assert len(taken.requests) == 1
    assert keys.take_new() == {url: "APInew"}


async def test_receiver_that_does_not_answer_has_a_deadline() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await asyncio.sleep(3600)

    async with listen(wait) as port, sending(f"http://127.0.0.1:{port}/", seconds=0.2) as sender:
        assert await sender.send(BODY) == "no answer within 0.2 s"


async def test_receiver_that_answers_byte_by_byte_has_the_same_deadline() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for byte in b"HTTP/1.1 200 OK\r\n" * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)

    began = time.monotonic()
    async with listen(trickle) as port, sending(f"http://127.0.0.1:{port}/", seconds=0.3) as sender:
        assert await sender.send(BODY) == "no answer within 0.3 s"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "rest", [b"content-length: 9\r\n\r\nok", b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n", b"\r\n"]
)
async def test_status_counts_although_the_rest_of_the_answer_does_not_come(rest: bytes) -> None:
    async with listen(Told(b"HTTP/1.1 200 OK\r\n" + rest)) as port, sending(f"http://127.0.0.1:{port}/") as sender:
        assert await sender.send(BODY) == ""


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200", b"HTTP/1.1 999999 X\r\n\r\n", b"\0" * 100_000]
)
async def test_what_is_no_answer_is_no_success(answer: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with listen(say) as port, sending(f"http://127.0.0.1:{port}/") as sender:
        assert await sender.send(BODY)


async def test_receiver_that_ends_the_connection_may_have_another_key() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with listen(leave) as port, sending(f"http://127.0.0.1:{port}/") as sender:
        assert may_be_the_key(await sender.send(BODY))


async def test_port_where_nothing_listens() -> None:
    with socket.socket() as bound:  # not listening: connections are refused, and no other program takes the port
        bound.bind(("127.0.0.1", 0))
        async with sending(f"http://127.0.0.1:{bound.getsockname()[1]}/") as sender:
            assert await sender.send(BODY) == "the connection failed: connection refused"


# --- where nothing is sent


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_private_receiver_is_not_even_connected_to(host: str) -> None:
    told = Told()
    async with listen(told) as port, sending(f"http://{host}:{port}/", private=False) as sender:
        assert "allow_private" in await sender.send(BODY)
    assert told.connections == 0


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]", "0"])
async def test_address_that_no_receiver_has_is_not_connected_to(host: str) -> None:
    async with sending(f"http://{host}/") as sender:
        assert "is no address of a receiver" in await sender.send(BODY)


Rows = list[tuple[int, int, int, str, tuple[str, int]]]


class Names:
    """A resolver whose answer changes: the first time the first list, then the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: str, port: int, *_: object, **__: object) -> Rows:
        self.asked.append(host)
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


async def test_name_is_looked_up_once_and_the_checked_address_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere at the second look-up changes nothing: there is no second one."""
    told = Told()
    async with listen(told) as port:
        names = Names(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        async with sending(f"http://app.example.com:{port}/") as sender:
            assert await sender.send(BODY) == ""
            assert names.asked == ["app.example.com"]
            assert "169.254.169.254" in await sender.send(BODY), "it is checked for each event"
    assert told.requests[0][0]["host"] == f"app.example.com:{port}"


async def test_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    async with sending("http://app.example.com/", private=False) as sender:
        assert "10.0.0.1 is in a private network" in await sender.send(BODY)


async def test_next_address_is_tried_where_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    async with listen(told) as port:
        Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        async with sending(f"http://app.example.com:{port}/") as sender:
            assert await sender.send(BODY) == ""


async def test_next_address_is_tried_where_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an address of IPv6 whose packets lead nowhere."""
    told = Told()
    async with listen(told) as port:
        with socket.create_server(("127.0.0.2", port), backlog=0) as silent, ExitStack() as full:
            for _ in range(3):  # nothing accepts them, and the kernel drops what comes after them
                waiting = full.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(silent.getsockname())
            Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
            async with sending(f"http://app.example.com:{port}/", seconds=8.0) as sender:
                assert await sender.send(BODY) == ""
    assert len(told.requests) == 1


async def test_name_server_that_does_not_answer_delays_no_other_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()

    def look_up(host: str, port: int, *_: object, **__: object) -> Rows:
        if host == "silent.example":
            silent.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        async with listen(Told()) as port, sending("http://silent.example/", seconds=0.2) as dead:
            problems = await asyncio.gather(*(dead.send(BODY) for _ in range(100)))
            assert set(problems) == {"no answer within 0.2 s"}
            async with sending(f"http://app.example.com:{port}/") as sender:
                assert await sender.send(BODY) == ""
    finally:
        silent.set()


async def test_name_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Rows:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    async with sending("http://nowhere.example/") as sender:
        assert await sender.send(BODY) == "its name leads nowhere"


# --- TLS


async def test_certificate_is_of_the_name_and_not_of_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    valid = (now - timedelta(days=1), now + timedelta(days=1))
    authority = make("root", ca=True, valid=valid)
    leaf = make("app.example.com", authority, names=["app.example.com"], valid=valid)
    root, certificate = tmp_path / "root.pem", tmp_path / "cert.pem"
    root.write_text(authority.pem)
    certificate.write_text(leaf.pem + leaf.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    told = Told()
    async with listen(told, context) as port:
        Names(monkeypatch, ["127.0.0.1"])
        async with sending(f"https://app.example.com:{port}/") as sender:
            assert "certificate" in await sender.send(BODY), "an authority that the system does not trust"
        monkeypatch.setenv("SSL_CERT_FILE", str(root))
        async with sending(f"https://other.example.com:{port}/") as sender:
            assert "mismatch" in await sender.send(BODY)
        async with sending(f"https://app.example.com:{port}/") as sender:
            assert await sender.send(BODY) == ""
    assert len(told.requests) == 1


async def test_no_problem_repeats_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, ["127.0.0.1"])
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        for scheme in ("http", "https"):
            async with sending(f"{scheme}://app.example.com:{port}/XYZ?XYZ") as sender:
                assert "XYZ" not in await sender.send(BODY)


async def test_receiver_that_never_comes_to_its_answer_is_left_early() -> None:
    """Each 1xx costs as much time as a request of somebody else, and 64 KiB have thousands of them."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 103 \r\n\r\n" * 1000)
            await writer.drain()

    async with listen(handler=handle) as port, sending(f"http://127.0.0.1:{port}/hook", seconds=5.0) as sender:
        assert await sender.send(BODY) == "the connection failed: it answers with more than 20 KiB"
        assert await sender.send(BODY) == "the connection failed: it answers with more than 20 KiB"
