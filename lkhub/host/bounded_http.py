"""HTTP to servers that may answer anything: how much of an answer is read has a limit."""

import ssl
from typing import Any

import httpcore

from lkhub.host.http import httpx


class LongAnswerError(httpx.ReadError):
    """More of an answer came than is read."""


# Servers send heads of a few hundred bytes; nginx takes 8 KiB from a server behind it.
MAX_HEAD_BYTES = 16 * 1024


class _BoundedStream(httpcore.AsyncNetworkStream):
    """Reads no more than `most` bytes between two writes."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, most: int) -> None:
        self._stream, self._most, self._taken = stream, most, 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        left = self._most - self._taken
        if left <= 0:
            raise LongAnswerError(f"it answers with more than {self._most // 1024} KiB")
        data = await self._stream.read(min(max_bytes, left), timeout)
        self._taken += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._taken = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        return _BoundedStream(await self._stream.start_tls(*arguments, **named), self._most)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedNetwork(httpcore.AnyIOBackend):
    def __init__(self, most: int) -> None:
        self._most = most

    async def connect_tcp(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        return _BoundedStream(await super().connect_tcp(*arguments, **named), self._most)


def bounded_transport(verify: ssl.SSLContext | bool, max_body: int) -> httpx.AsyncHTTPTransport:
    """To servers that may send anything. LongAnswerError is raised where the head of an answer and its body are longer
    than MAX_HEAD_BYTES and `max_body` together. Before the status of an answer any number of others may come, such as
    103 (RFC 9110, 15.2): httpx skips them, and would do nothing else while they come."""
    transport = httpx.AsyncHTTPTransport(verify=verify, trust_env=False)
    transport._pool._network_backend = _BoundedNetwork(MAX_HEAD_BYTES + max_body)  # httpx has no parameter for it
    return transport
