"""Finds the findings that explain a failed call, so that the call's own finding depends on them. Pure.

What was seen of the call decides whether a finding explains it: a process that is down explains a refused connection to
it, and does not explain an expired certificate. A finding that is only a likely cause explains nothing.
"""

from collections.abc import Mapping

from lkhub.checks import causes_http
from lkhub.checks.called import CalledHub
from lkhub.checks.causes import is_turn
from lkhub.checks.paths import PathResult, WebResult
from lkhub.findings.finding import Ref

# The stages that all paths have in common: connecting to the server. Signalling adds further reasons.
_COMMON_STAGES = ("dns", "tcp", "tls", "http", "token")


def is_common(result: PathResult) -> bool:
    """Whether a path failed in the part that all paths and the web have in common: while it connected to the server, or
    in signalling."""
    return not is_turn(result) and (result.stage in _COMMON_STAGES or result.reason in causes_http.CAUSES)


# The reasons that a call shows where the process that should listen has ended.
_GONE = ("refused", "gateway")

# The reasons that a call shows where media is down: the edge answers for it, or the call had already begun.
_NO_MEDIA = ("hub-media-down", "http-closed", "signal-ended", "no-reply")

# The reasons that a call shows where a process hangs. The kernel still accepts connections for it.
_HANGS = {
    "media": ("http-silent", "signal-silent", "hub-media-down", "no-reply"),
    "edge": ("tls-silent", "http-silent"),
    "relay": ("turn-silent",),
}


def explain_by_findings(result: PathResult, hub: CalledHub) -> tuple[Ref, ...]:
    """The findings that explain why a path failed."""
    if hub.uses_external_turn(result):
        return ()
    return (
        _explain_name(result, hub)
        or _explain_process(result, hub)
        or _explain_silence(result, hub)
        or _explain_full(result, hub)
    )


def _explain_name(result: PathResult, hub: CalledHub) -> tuple[Ref, ...]:
    """The findings about a name that leads elsewhere. They explain only calls that went where the name leads: the hub's
    own calls do that where it has no edge, or expects a proxy there."""
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
    """The findings that explain why the page or the API is not there."""
    if result.reason == "gateway" and hub.is_proxied:
        return _pick(hub.down, "edge")
    behind = "serve" if result.what == "page" else "media"
    return _pick(hub.down, behind) if result.reason == "hub-media-down" else ()


def _pick(found: Mapping[str, Ref], name: str) -> tuple[Ref, ...]:
    return (found[name],) if name in found else ()
