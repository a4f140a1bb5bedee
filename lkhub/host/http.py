"""HTTP to the hub's own processes on this machine. All of lkhub imports httpx from here."""

import sys
from collections.abc import Mapping

# Where click, rich and pygments are installed, as typer's and uvicorn's are here, httpx loads them for a command line
# of its own. If that can't be imported, httpx works without it (httpx/__init__.py, 0.28).
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402

__all__ = ["httpx", "local_client"]


def local_client(
    seconds: float, *, socket: str | None = None, headers: Mapping[str, str] | None = None
) -> httpx.AsyncClient:
    """A client for plain HTTP on loopback, or over the Unix socket `socket`. `seconds` limits each step.

    A proxy from the environment is not asked. Nothing here speaks TLS, and preparing for it would cost
    25 ms of CPU for each client.
    """
    transport = httpx.AsyncHTTPTransport(uds=socket, verify=False)
    return httpx.AsyncClient(transport=transport, timeout=seconds, trust_env=False, headers=headers)
