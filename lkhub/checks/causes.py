"""Turns what the probe saw of a failed call into the cause and the fixes. Pure.

A call can fail at the same stage for several causes. What was seen decides (`PathResult.reason`,
engine/internal/probe/reasons.go), together with what is known of the hub. Where several causes fit, the text says so.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lkhub.checks.called import CalledHub
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Fix


@dataclass(frozen=True)
class Cause:
    """Why a call failed, as a sentence without its full stop, and what to do."""

    why: str
    fix: tuple[Fix, ...]


Explain = Callable[[PathResult, CalledHub], Cause]


def undecided(*causes: str) -> str:
    """The sentence where each of these causes fits what was seen."""
    return f"not decided: {'; or '.join(causes)}"


def is_turn(result: PathResult) -> bool:
    """Whether the path failed while it connected to a TURN server, rather than to the signalling."""
    return result.relay is not None and result.stage in ("dns", "tcp", "tls")


def explain(result: PathResult, hub: CalledHub, tables: Iterable[Mapping[str, Explain]]) -> Cause:
    """The cause from the first table that has the result's reason, else the cause that the stage alone suggests."""
    for table in tables:
        if found := table.get(result.reason):
            return found(result, hub)
    fix = _STAGE_FIXES.get(result.stage) or (LOG_FIX if hub.is_own else _ELSEWHERE_FIX)
    return Cause(_STAGES.get(result.stage, "unknown"), (fix,))


LOG_FIX = Fix("see what media says about it", "lkhub logs media")

_ELSEWHERE_FIX = Fix("read what the server says about it; on a hub's machine", "lkhub logs media")

# A call that fails at one of these stages has not reached media, so media's log says nothing about it.
_STAGE_FIXES = {
    "dns": Fix("see which name servers this machine asks", "cat /etc/resolv.conf"),
    "tcp": Fix("see on the hub's machine whether it runs", "lkhub status"),
    "tls": Fix("see on the hub's machine what its edge says", "lkhub logs edge"),
    "http": Fix("see on the hub's machine whether it runs", "lkhub status"),
    "gather": Fix("see this machine's addresses", "ip address"),
}

# What is said where nothing but the stage is known. It repeats what was seen, since each stage has several causes.
_STAGES = {
    "dns": "the name of the hub can't be looked up on this machine",
    "tcp": "no connection to the signalling port",
    "tls": "the TLS handshake with the signalling port failed",
    "http": "what answers on the signalling port does not behave as LiveKit",
    "token": "the server refuses the token, and lkhub does not know its reason: its words are above",
    "join": "the server accepted the request, and the join failed",
    "gather": "this machine got no address from which the path can be tried",
    "connect": "signalling works, and packets of media do not come back",
    "dtls": "packets of media pass, and the encrypted session does not come up",
    "media": "the connection is up, and what one participant sends does not reach the other",
}
