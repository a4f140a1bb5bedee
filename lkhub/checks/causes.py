"""What the probe saw of a failed call → why, and the ways out. Pure.

A stage has several causes. What was seen (`PathResult.reason`, engine/internal/probe/reasons.go) decides among them,
with what is known of the hub; what it leaves open is said to be open.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lkhub.checks.called import CalledHub
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Fix


@dataclass(frozen=True)
class Cause:
    """Why, as a sentence without its stop, and what to do."""

    why: str
    fix: tuple[Fix, ...]


Explain = Callable[[PathResult, CalledHub], Cause]


def undecided(*causes: str) -> str:
    """The causes that are possible, where what was seen does not tell which it is."""
    return f"not decided: {'; or '.join(causes)}"


def is_turn(result: PathResult) -> bool:
    """Whether the path failed on its way to a TURN server, not to the signalling."""
    return result.relay is not None and result.stage in ("dns", "tcp", "tls")


def explain(result: PathResult, hub: CalledHub, tables: Iterable[Mapping[str, Explain]]) -> Cause:
    """The cause by the first table that knows what was seen, else what the stage alone says."""
    for table in tables:
        if found := table.get(result.reason):
            return found(result, hub)
    fix = _STAGE_FIXES.get(result.stage) or (LOG_FIX if hub.is_own else _ELSEWHERE_FIX)
    return Cause(_STAGES.get(result.stage, "unknown"), (fix,))


LOG_FIX = Fix("see what media says about it", "lkhub logs media")

_ELSEWHERE_FIX = Fix("read what the server says of it; on a hub's machine", "lkhub logs media")

# Before media is asked, it has nothing to say.
_STAGE_FIXES = {
    "dns": Fix("see which name servers this machine asks", "cat /etc/resolv.conf"),
    "tcp": Fix("see on the hub's machine whether it runs", "lkhub status"),
    "tls": Fix("see on the hub's machine what its edge says", "lkhub logs edge"),
    "http": Fix("see on the hub's machine whether it runs", "lkhub status"),
    "gather": Fix("see this machine's addresses", "ip address"),
}

# Where nothing more was seen. Several things end at each stage, so none of these is a verdict.
_STAGES = {
    "dns": "the name of the hub can't be looked up on this machine",
    "tcp": "no connection to the signalling port",
    "tls": "the TLS handshake with the signalling port failed",
    "http": "what answers on the signalling port does not behave as LiveKit",
    "token": "the server refuses the token, for a reason that is not known here: its words are above",
    "join": "the server let the request in, and the join did not go through",
    "gather": "this side got no address from which the path can be tried",
    "connect": "signalling works, and packets of media do not come back",
    "dtls": "packets of media pass, and the encrypted session does not come up",
    "media": "the connection is up, and what one participant sends does not reach the other",
}
