"""HTTP to the hub's own processes on this machine. All of lkhub imports httpx from here."""

import sys
import time
import zlib
from collections.abc import Mapping

# Where click, rich and pygments are installed, as typer's and uvicorn's are here, httpx loads them for a command line
# of its own. If that can't be imported, httpx works without it (httpx/__init__.py, 0.28).
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

__all__ = ["PLAIN", "UNTRUSTED", "find_unpacker", "httpx", "local_client", "read_body"]


def _set_location_aside(answer: httpx.Response) -> None:
    if location := answer.headers.pop("location", ""):
        answer.extensions["location"] = location


# Event hooks of a client that asks servers which may be anything, and follows no redirects. httpx parses the address of
# a redirect all the same, and fails if it is no URL. The address is in `extensions["location"]` instead.
UNTRUSTED = {"response": [_set_location_aside]}


# Asks for an answer that is not compressed. Some servers compress all the same.
PLAIN = {"Accept-Encoding": "identity"}


class Unpacker:
    """Unpacks the parts of an answer's body. `packed` is zlib's, None where they are as they are."""

    def __init__(self, packed: "zlib._Decompress | None") -> None:
        self._packed = packed

    def unpack(self, part: bytes, most: int) -> bytes:
        """At most this many bytes: some hundred could become gigabytes, before their number is known. Raises zlib.error
        where the body is damaged."""
        return self._packed.decompress(part, most) if self._packed else part

    @property
    def is_done(self) -> bool:
        """What follows is nothing, and zlib would keep all of it."""
        return self._packed is not None and self._packed.eof


def find_unpacker(answer: httpx.Response) -> Unpacker | None:
    """What unpacks the body of an answer; None for any encoding but gzip."""
    encoding = answer.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return Unpacker(None)
    return Unpacker(zlib.decompressobj(zlib.MAX_WBITS | 16)) if encoding == "gzip" else None  # 16: in gzip's format


def read_body(answer: httpx.Response, limit: int, seconds: float) -> bytes:
    """The body of a streamed answer, or its first `limit` bytes: what another server sends need not end. It counts as
    empty in an encoding that can't be read. Raises ReadError if it takes longer than `seconds`, or is damaged."""
    unpacker = find_unpacker(answer)
    if unpacker is None:
        return b""
    body, deadline = bytearray(), time.monotonic() + seconds
    for part in answer.iter_raw():
        try:
            body += unpacker.unpack(part, limit - len(body))
        except zlib.error:
            raise httpx.ReadError("its answer is damaged") from None
        if len(body) >= limit or unpacker.is_done:
            break
        if time.monotonic() > deadline:
            raise httpx.ReadError(f"its answer takes longer than {seconds:g} s")
    return bytes(body[:limit])


def local_client(
    seconds: float, *, socket: str | None = None, headers: Mapping[str, str] | None = None
) -> httpx.AsyncClient:
    """A client for plain HTTP on loopback, or over the Unix socket `socket`. `seconds` limits each step.

    A proxy from the environment is not asked. Nothing here speaks TLS, and preparing for it would cost
    25 ms of CPU for each client.
    """
    transport = httpx.AsyncHTTPTransport(uds=socket, verify=False)
    return httpx.AsyncClient(transport=transport, timeout=seconds, trust_env=False, headers=headers)
