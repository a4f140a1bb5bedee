import asyncio
import contextlib
import errno
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from lkhub.service.oidc.fetch import MAX_ANSWER_BYTES, Fetcher, ProviderError, is_safe
from tests.kit.issuer import ISSUER, Issuer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example/keys", True),
        ("http://127.0.0.1:9000/keys", True),
        ("http://[::1]:9000/keys", True),
        ("http://localhost:9000", True),
        ("http://id.example/keys", False),
        ("http://192.168.1.5/keys", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://localhost.evil.example/", False),
        ("http://user@127.0.0.1@evil.example/", False),
        ("file:///etc/passwd", False),
        ("https:///keys", False),
        ("http://[::1", False),
        ("", False),
    ],
)
async def test_only_https_and_this_machine_are_asked(url: str, safe: bool) -> None:
    assert is_safe(url) is safe


RUBBISH = {
    "status": (Response(status_code=500), "status 500"),
    "redirect": (RedirectResponse("http://169.254.169.254/"), "status 307"),
    "redirect-that-is-no-url": (Response(status_code=302, headers={"location": "http://[:99999"}), "."),
    "html": (Response("<html>"), "no JSON object"),
    "array": (JSONResponse([1]), "no JSON object"),
    "nan": (Response('{"a": NaN}'), "no JSON object"),
    "deep": (Response("[" * 200_000), "no JSON object"),
    "binary": (Response(b"\xff\xfe\x00"), "no JSON object"),
    "empty": (Response(""), "no JSON object"),
    "large": (Response(b" " * (MAX_ANSWER_BYTES + 1)), "more than 256 KiB"),
}


@pytest.mark.parametrize(("reply", "reason"), RUBBISH.values(), ids=RUBBISH)
async def test_rubbish_is_an_error_with_its_reason(
    issuer: Issuer, fetcher: Fetcher, reply: Response, reason: str
) -> None:
    issuer.replies["/jwks"] = reply
    with pytest.raises(ProviderError, match=reason):
        await fetcher.get(f"{ISSUER}/jwks")


class Packed(Response):
    """A document that is compressed twice, as its header says. It is small on the wire alone."""

    def __init__(self, size: int) -> None:
        packed = gzip.compress(gzip.compress(b"{" + b" " * size + b"}"))
        super().__init__(packed, headers={"content-encoding": "gzip, gzip"})


async def test_answer_is_not_unpacked(issuer: Issuer, fetcher: Fetcher) -> None:
    """Of some kilobytes it would make gigabytes before anything has counted them."""
    issuer.replies["/jwks"] = Packed(32 * 1024 * 1024)
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError, match="encoding that it was not asked for"):
            await fetcher.get(f"{ISSUER}/jwks")
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def compressing(packed: bytes) -> Fetcher:
    """Asks a provider that compresses whatever it is asked for."""
    headers = {"content-encoding": "gzip"}
    return Fetcher(httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed))))


async def test_answer_that_is_compressed_unasked_is_read() -> None:
    """Keys that lie compressed on a web server: without them nobody could sign in."""
    assert await compressing(gzip.compress(b'{"keys": []}')).get(f"{ISSUER}/jwks") == {"keys": []}


@pytest.mark.parametrize(
    ("packed", "reason"), [(gzip.compress(bytes(32 * 1024 * 1024)), "more than 256 KiB"), (b"{}", "is damaged")]
)
async def test_compressed_answer_is_unpacked_no_further_than_it_is_read(packed: bytes, reason: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError, match=reason):
            await compressing(packed).get(f"{ISSUER}/jwks")
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


async def test_what_follows_the_end_of_a_compressed_answer_is_not_kept() -> None:
    """It need not end, and zlib would gather it beside the body, where no limit counts it."""
    taken: list[int] = []

    async def send() -> AsyncIterator[bytes]:
        yield gzip.compress(b'{"keys": []}')
        for part in range(100):
            taken.append(part)
            yield bytes(64 * 1024)

    headers = {"content-encoding": "gzip"}
    fetcher = Fetcher(httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=send())))
    assert await fetcher.get(f"{ISSUER}/jwks") == {"keys": []}
    assert taken == []


async def test_provider_is_asked_for_plain_answers() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"), headers={"content-encoding": "identity"})

    fetcher = Fetcher(httpx.MockTransport(answer))
    assert await fetcher.get(f"{ISSUER}/jwks", bearer="b") == {}
    assert asked == ["identity"]


async def test_slow_answer_is_given_up(issuer: Issuer) -> None:
    issuer.delay = 60
    with pytest.raises(ProviderError, match=r"within 0\.01 s"):
        await Fetcher(httpx.ASGITransport(issuer.app()), seconds=0.01).get(f"{ISSUER}/jwks")


async def test_provider_that_never_comes_to_its_answer_is_left_early() -> None:
    """Each 1xx costs as much time as a request of somebody else. It can be reached, and its answer is at fault."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"HTTP/1.1 103 \r\n\r\n" * 1000)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProviderError, match="answers with more than 256 KiB"):
            await Fetcher().get(f"http://127.0.0.1:{port}/jwks")


async def test_provider_that_is_down_is_an_error() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("secret of the network", request=request)

    with pytest.raises(ProviderError, match="can't be reached") as caught:
        await Fetcher(httpx.MockTransport(refuse)).get(f"{ISSUER}/jwks")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "secret of the network"), "no address is found for its name"),
        (ConnectionRefusedError(111, "secret of the network"), "nothing listens at its address"),
        (OSError(errno.ENETUNREACH, "secret of the network"), "no network leads to its address"),
    ],
)
async def test_provider_that_is_down_is_told_with_the_systems_reason(cause: OSError, reason: str) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("secret of the network", request=request) from cause

    with pytest.raises(ProviderError, match=f"^the OpenID provider can't be reached: {reason}$"):
        await Fetcher(httpx.MockTransport(refuse)).get(f"{ISSUER}/jwks")


async def test_reason_is_told_of_a_provider_with_several_addresses() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        each = [OSError(errno.ENETUNREACH, "of IPv6"), ConnectionRefusedError(111, "of IPv4")]
        all_failed = OSError("All connection attempts failed")  # as anyio has it
        all_failed.__cause__ = ExceptionGroup("multiple connection attempts failed", each)
        raise httpx.ConnectError("no", request=request) from all_failed

    with pytest.raises(ProviderError, match=r"can't be reached: nothing listens at its address$"):
        await Fetcher(httpx.MockTransport(refuse)).get(f"{ISSUER}/jwks")


async def test_certificate_that_is_not_trusted_is_named() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        wrong = ssl.SSLCertVerificationError("self-signed certificate")
        raise httpx.ConnectError(str(wrong), request=request) from wrong

    with pytest.raises(ProviderError, match="certificate is not trusted"):
        await Fetcher(httpx.MockTransport(refuse)).get(f"{ISSUER}/jwks")


async def test_address_in_clear_gets_no_request(issuer: Issuer, fetcher: Fetcher) -> None:
    with pytest.raises(ProviderError, match="neither https nor on this machine"):
        await fetcher.post("http://id.example/token", {"client_secret": "s"})
    assert issuer.asked == {}


async def test_cookies_of_the_provider_are_not_kept() -> None:
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        cookies = [("set-cookie", f"c{len(sent)}=x; Max-Age=3600; Path=/"), ("set-cookie", "session=ann")]
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"), headers=cookies)

    fetcher = Fetcher(httpx.MockTransport(answer))
    for _ in range(3):
        await fetcher.get(f"{ISSUER}/userinfo", bearer="b")
    assert sent == [None] * 3
