"""HTTP to servers that may send anything, for as long as they are asked."""

import ssl
from typing import Any

import httpcore

from lkhub.host.http import httpx


class _BoundedStream(httpcore.AsyncNetworkStream):
    """Reads no more than `most` bytes between two writes."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, most: int) -> None:
        self._stream, self._most, self._taken = stream, most, 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        left = self._most - self._taken
        if left <= 0:
            raise httpcore.ReadError("its answer does not end")
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


def bounded_transport(verify: ssl.SSLContext | bool, most: int) -> httpx.AsyncHTTPTransport:
    """To servers that may send anything: no more than `most` bytes of an answer are read, its head included. Before its
    status any number of others may come (RFC 9110, 15.2), such as 103. httpx skips them, and would do nothing else
    while they come."""
    transport = httpx.AsyncHTTPTransport(verify=verify, trust_env=False)
    # httpx takes no other network. The limits are its own (httpx, _config.py, DEFAULT_LIMITS).
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=transport._pool._ssl_context,
        max_connections=100,
        max_keepalive_connections=20,
        keepalive_expiry=5.0,
        network_backend=_BoundedNetwork(most),
    )
    return transport
