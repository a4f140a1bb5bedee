"""What the tailscaled of this machine serves by itself: `tailscale serve` and `tailscale funnel`.

It takes what other nodes send to such a port before any program of this machine does, also where one listens there
(wgengine/netstack: ShouldInterceptTCPPort). The answer is ipn.ServeConfig (tailscale.com, ipn/serve.go).
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from lkhub.host.http import httpx
from lkhub.host.tailscale import connect, find_daemon, knock
from lkhub.plan.served import Served


def ask_served(environ: Mapping[str, str] = os.environ) -> tuple[Served, ...]:
    """The TCP ports that tailscaled serves, by their numbers; () where none is known. Never raises."""
    daemon = find_daemon(environ)
    if knock(daemon):
        return ()
    try:
        with connect(daemon) as client:
            answer = client.get("/localapi/v0/serve-config").raise_for_status().json()
            return tuple(sorted(_read(answer, kept=True), key=lambda served: served.port))
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError):
        return ()


def _read(config: Mapping[str, Any] | None, *, kept: bool) -> Iterator[Served]:  # Tailscale's own JSON
    config = config or {}
    for port, handler in (config.get("TCP") or {}).items():
        yield Served(int(port), _name_option(handler), kept=kept)
    for session in (config.get("Foreground") or {}).values():
        yield from _read(session, kept=False)


def _name_option(handler: Mapping[str, object]) -> str:
    """The option of `tailscale serve` that made this handler (ipn.TCPPortHandler)."""
    if handler.get("HTTPS"):
        return "https"
    if handler.get("HTTP"):
        return "http"
    return "tls-terminated-tcp" if handler.get("TerminateTLS") else "tcp"
