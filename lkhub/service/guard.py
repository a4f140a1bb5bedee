"""Checks for every request: it names the hub itself, and no foreign page sent it.

A name that an attacker rebinds to 127.0.0.1 arrives with a foreign `Host`; a page elsewhere that posts to the hub
arrives with a foreign `Origin`, and can't set `application/json` without a CORS preflight.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lkhub.service.errors import ApiError
from lkhub.service.refusals import answer

# What a proxy adds, besides `X-Forwarded-*`. No program on this machine that talks to the hub directly sends them.
FORWARDING_HEADERS = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


class Guard:
    """The names of a hub, and the headers that every answer has."""

    def __init__(self, hosts: Iterable[str], port: int, authorities: Iterable[str], headers: Mapping[str, str]) -> None:
        own = (authority for host in hosts for authority in _authorities(host, port))
        self._known = {authority.encode() for authority in (*own, *authorities)}
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    def knows(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a request with these headers is for this hub. With two headers `Host` a proxy in front may have
        looked at the other one (RFC 9112, section 3.2)."""
        hosts = [value for name, value in headers if name == b"host"]
        return len(hosts) == 1 and hosts[0].lower() in self._known


class HostGuard:
    """Middleware: 421 for a `Host` that is not the hub's own, and security headers on every answer."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app, self.guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        host = next((value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"), "")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = (
                    (name, _stay_here(value, host) if name == b"location" else value)
                    for name, value in message["headers"]
                )
                message["headers"] = [*own, *self.guard.headers]
            await send(message)

        if self.guard.knows(scope["headers"]):
            await self.app(scope, receive, send_guarded)
        else:
            error = ApiError(421, "this is not the name of this hub", "use the address that `lkhub status` shows")
            await answer(Request(scope), error)(scope, receive, send_guarded)


def _stay_here(location: bytes, host: str) -> bytes:
    """Where a redirect leads, without scheme and host if it is to this hub. The service does not know whether a browser
    uses TLS, which ends at the edge or at a proxy."""
    url = urlsplit(location.decode("latin-1"))
    if url.netloc.lower() != host:
        return location
    # One slash: after two, a browser would take the next part for a host.
    return urlunsplit(("", "", f"/{url.path.lstrip('/')}", url.query, url.fragment)).encode("latin-1")


def _authorities(host: str, port: int) -> Iterable[str]:
    yield f"{host}:{port}"
    if port == 80:
        yield host


def require_known_page(headers: Headers, origins: Collection[str]) -> None:
    """Refuse a request that could come from a page of another site: 415 for another content type, 403 for an `Origin`
    that is neither the hub's own nor one of `origins`."""
    kind = headers.get("content-type", "")
    if kind != "application/json" and kind.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "the body must be JSON", "send it with Content-Type: application/json")
    origin = headers.get("origin")
    if origin is None:
        return
    host = headers.get("host", "").lower()
    # A sandboxed frame or a local file sends `null`, which is never the hub's own origin.
    own = (f"http://{host}", f"https://{host}")
    if origin.lower() not in own and origin not in origins:
        raise ApiError(403, "this endpoint answers the hub's own pages, and pages that access.origins lists")


def is_direct(headers: Headers) -> bool:
    """Whether the request came straight to the hub, not through a proxy."""
    return not any(name in FORWARDING_HEADERS or name.startswith("x-forwarded") for name in headers)
