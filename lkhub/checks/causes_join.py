"""Causes where the server accepts the token, and the join fails. Pure."""

from collections.abc import Mapping

from lkhub.checks.called import CalledHub
from lkhub.checks.causes import LOG_FIX, Cause, Explain, undecided
from lkhub.checks.causes_connection import RENDER_FIX
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Fix


def _not_upgraded(result: PathResult, hub: CalledHub) -> Cause:
    proxy = "the proxy" if hub.is_proxied else "a proxy on the way"
    return Cause(
        f"HTTP gets through and the WebSocket does not: {proxy} does not forward the headers Upgrade and Connection, "
        "or speaks HTTP/1.0 to the server behind it",
        (
            Fix(
                "nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "
                '"upgrade";`; Apache: `ProxyPass … upgrade=websocket`'
            ),
            *((RENDER_FIX,) if hub.is_proxied else ()),
        ),
    )


def _join_refused(result: PathResult, hub: CalledHub) -> Cause:
    why = undecided(
        "the room has as many participants as room.max_participants allows, and a verification needs two places",
        "media was restarted, or has too much to do",
    )
    read = LOG_FIX if hub.is_own else Fix("read what the server says of it; on a hub's machine", "lkhub logs media")
    allow = Fix("allow two or more, in livekit: of the spec or the server's configuration: room.max_participants")
    return Cause(f"LiveKit let the token in, and failed at the join: {why}", (read, allow))


def _signal_silent(result: PathResult, hub: CalledHub) -> Cause:
    why = undecided(
        "the line loses so many packets that signalling does not get through in time",
        "a proxy keeps the answer back (buffering)",
        "media hangs",
    )
    log = (LOG_FIX,) if hub.is_own else ()
    return Cause(why, (Fix("see what the other paths say of loss and round trip, and try again"), *log))


def _signal_ended(result: PathResult, hub: CalledHub) -> Cause:
    why = undecided(
        "a proxy ends the WebSocket, by its time limits or a reload", "media was restarted", "the line broke"
    )
    return Cause(
        why, (Fix("try again"), *((LOG_FIX,) if hub.is_own else ()), *((RENDER_FIX,) if hub.is_proxied else ()))
    )


CAUSES: Mapping[str, Explain] = {
    "not-upgraded": _not_upgraded,
    "join-refused": _join_refused,
    "signal-silent": _signal_silent,
    "signal-ended": _signal_ended,
}
