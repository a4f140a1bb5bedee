"""Of which other findings a failed call is a consequence. Pure.

What a finding explains is decided by what was seen of the call: a process that is down explains a refused connection to
it, and not a certificate that has expired. What is only likely is no consequence.
"""

from collections.abc import Mapping

from lkhub.checks import causes_http
from lkhub.checks.called import CalledHub
from lkhub.checks.causes import is_turn
from lkhub.checks.paths import PathResult, WebResult
from lkhub.findings.finding import Ref

# Stages of what all paths have in common: the way to the server. The signalling has reasons of its own.
_COMMON_STAGES = ("dns", "tcp", "tls", "http", "token")


def is_common(result: PathResult) -> bool:
    """Whether a path failed at what all paths and the web have in common: the way to the server, and the signalling."""
    return not is_turn(result) and (result.stage in _COMMON_STAGES or result.reason in causes_http.CAUSES)


# What is seen of a process that listens no more.
_GONE = ("refused", "gateway")

# What is seen of media that is down, through the edge that answers for it, or by a call that had begun.
_NO_MEDIA = ("hub-media-down", "http-closed", "signal-ended", "no-reply")

# What is seen of a process that hangs: its connections are accepted by the kernel.
_HANGS = {
    "media": ("http-silent", "signal-silent", "hub-media-down", "no-reply"),
    "edge": ("tls-silent", "http-silent"),
    "relay": ("turn-silent",),
}


def explain_by_others(result: PathResult, hub: CalledHub) -> tuple[Ref, ...]:
    """The findings of which the failure of one path is a consequence."""
    if hub.is_of_others(result):
        return ()
    return (
        _explain_name(result, hub)
        or _explain_process(result, hub)
        or _explain_silence(result, hub)
        or _explain_full(result, hub)
    )


def _explain_name(result: PathResult, hub: CalledHub) -> tuple[Ref, ...]:
    """The hub's own calls go where a name leads only if no edge has it, or a proxy is expected there."""
    if result.stage not in _COMMON_STAGES:
        return ()
    if is_turn(result):
        return _pick(hub.astray, hub.turn_name) if hub.is_proxied else ()
    return tuple(hub.astray.values()) if hub.tls == "off" else ()


def _explain_process(result: PathResult, hub: CalledHub) -> tuple[Ref, ...]:
    if is_turn(result):
        return _pick(hub.down, "relay" if result.path == "turn-udp" else "edge") if result.reason in _GONE else ()
    if result.reason == "turn-silent":
        return _pick(hub.down, "relay")
    if result.reason == "refused":
        return _pick(hub.down, "media" if hub.tls == "off" else "edge") if not hub.is_proxied else ()
    if result.reason == "gateway" and hub.is_proxied:
        return _pick(hub.down, "edge")
    return _pick(hub.down, "media") if result.reason in _NO_MEDIA else ()


def _explain_silence(result: PathResult, hub: CalledHub) -> tuple[Ref, ...]:
    if hub.is_proxied and result.reason == "tls-silent" and not is_turn(result):
        return ()  # the proxy ends TLS
    return tuple(ref for name, ref in hub.hanging.items() if result.reason in _HANGS.get(name, ()))[:1]


def _explain_full(result: PathResult, hub: CalledHub) -> tuple[Ref, ...]:
    return _pick(hub.full, result.path) if result.reason == "turn-refused" else ()


def explain_web(result: WebResult, hub: CalledHub) -> tuple[Ref, ...]:
    """The findings of which it is a consequence that page or API is not there."""
    if result.reason == "gateway" and hub.is_proxied:
        return _pick(hub.down, "edge")
    behind = "serve" if result.what == "page" else "media"
    return _pick(hub.down, behind) if result.reason == "hub-media-down" else ()


def _pick(found: Mapping[str, Ref], name: str) -> tuple[Ref, ...]:
    return (found[name],) if name in found else ()
