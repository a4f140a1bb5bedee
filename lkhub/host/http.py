"""HTTP to the hub's own processes on this machine."""

from collections.abc import Mapping

import httpx


def local_client(
    seconds: float, *, socket: str | None = None, headers: Mapping[str, str] | None = None
) -> httpx.AsyncClient:
    """A client for plain HTTP on loopback, or over the Unix socket `socket`. `seconds` limits each step.

    A proxy from the environment is not asked. Nothing here speaks TLS, and preparing for it would cost
    25 ms of CPU for each client.
    """
    transport = httpx.AsyncHTTPTransport(uds=socket, verify=False)
    return httpx.AsyncClient(transport=transport, timeout=seconds, trust_env=False, headers=headers)
