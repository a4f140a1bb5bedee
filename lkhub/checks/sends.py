"""What media and the relay could not send → why calls failed, and a finding where nothing else says so. Pure.

An error of `sendto` reaches no one in WebRTC: the packet counts as lost, and a call that gets no answer looks as if a
firewall on the way dropped it. The engine counts these errors (engine/internal/sendcount).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lkhub.checks.called import CalledHub
from lkhub.checks.causes import Cause, Explain, undecided
from lkhub.checks.paths import PathResult
from lkhub.findings.catalogue.lines import sends_refused
from lkhub.findings.finding import RECENT_SECONDS, Finding, Fix
from lkhub.wire.control import HubReport

# So many packets in a row, and none that left between them, are no chance: one client's address without a route is met
# between packets to others. A call that is refused altogether makes 25 in its five seconds.
MANY = 10

REASON = "sends-refused"

# A rule or a filter forbids it; the others are of routes, and of the client's address as much as of this machine.
_FORBIDDEN = ("EPERM", "EACCES")


@dataclass(frozen=True)
class _Refused:
    """The last packets of a process, all of which this machine refused to send. `at` is of the last, epoch seconds."""

    process: str
    row: int
    at: float
    errno: str
    error: str
    to: str

    @property
    def evidence(self) -> Mapping[str, str]:
        named = {"process": self.process, "errno": self.errno, "error": self.error, "to": self.to, "row": str(self.row)}
        return {name: value for name, value in named.items() if value}


def _read(told: HubReport, process: str, now: float) -> _Refused | None:
    status = told.media if process == "media" else told.relay
    sends = status.sends if status else None
    last = sends.last if sends else None
    if sends is None or last is None or sends.row < MANY or now - last.at > RECENT_SECONDS:
        return None
    return _Refused(process, sends.row, last.at, last.errno, last.error, last.to)


def blame_sends(results: Iterable[PathResult], told: HubReport, now: float) -> tuple[PathResult, ...]:
    """The results; a path that got no answer over UDP, and whose answers this machine refused to send, says so.

    `told` was asked for right after the calls; `now` in epoch seconds.
    """
    refused = {process: _read(told, process, now) for process in ("media", "relay")}
    return tuple(_blame(result, refused.get(_answers(result))) for result in results)


def _answers(result: PathResult) -> str:
    """The process that owed an answer over UDP; "" where it was none, or another server's."""
    if result.reason == "no-reply" and result.evidence.get("remote", "").startswith("udp "):
        return "media"  # a relay sends on to media
    return "relay" if result.reason == "turn-silent" and result.path == "turn-udp" else ""


def _blame(result: PathResult, refused: _Refused | None) -> PathResult:
    if refused is None:
        return result
    detail = f"{result.detail}; {_describe(refused.evidence)}"
    return replace(result, reason=REASON, detail=detail, evidence={**result.evidence, **refused.evidence})


def _describe(evidence: Mapping[str, str]) -> str:
    error = evidence.get("error", "an error")
    named = f"{error} ({evidence['errno']})" if "errno" in evidence else error
    to = f", the last to {evidence['to']}" if "to" in evidence else ""
    return (
        f"the machine of the hub refused to send the last {evidence.get('row', MANY)} packets of "
        f"{evidence.get('process', 'media')}{to}: {named}"
    )


def _explain(result: PathResult, hub: CalledHub) -> Cause:
    return _explain_errno(result.evidence)


def _explain_errno(evidence: Mapping[str, str]) -> Cause:
    process, errno = evidence.get("process", "media"), evidence.get("errno", "")
    host = evidence.get("to", "").rpartition(":")[0].strip("[]") or "ADDRESS"
    log = Fix(f"see what {process} says", f"lkhub logs {process}")
    if errno in _FORBIDDEN:
        return Cause(
            f"this machine forbids {process} to send, before a packet gets as far as the network: "
            + undecided(
                "a rule of its firewall for packets that leave",
                "a filter on the process, as systemd and containers have them",
            ),
            (
                Fix("look for drop or reject in the chains for what leaves (hook output)", "sudo nft list ruleset"),
                Fix(
                    "where systemd runs the hub: take IPAddressDeny=, IPEgressFilterPath= and a SystemCallFilter= that "
                    "lacks @network-io out of its unit"
                ),
                Fix("in a container: take the default seccomp profile"),
            ),
        )
    if errno in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EADDRNOTAVAIL"):
        return Cause(
            f"this machine has no way from {process}'s address to {host}: no route, a prohibiting one, or an interface "
            "that is down",
            (Fix("see which way it takes", f"ip route get {host}"), Fix("see its addresses", "ip address"), log),
        )
    return Cause(f"this machine does not send what {process} gives it", (log,))


CAUSES: Mapping[str, Explain] = {REASON: _explain}


def check_sends(told: HubReport, paths: Iterable[PathResult], now: datetime) -> Iterator[Finding]:
    """A finding for each process that is forbidden to send, unless the verified `paths` say it."""
    blamed = {result.evidence.get("process") for result in paths if result.reason == REASON}
    for process in ("media", "relay"):
        refused = _read(told, process, now.timestamp())
        if refused is None or process in blamed or refused.errno not in _FORBIDDEN:
            continue
        cause = _explain_errno(refused.evidence)
        yield sends_refused(process).about(
            process,
            detail=f"{_describe(refused.evidence)}, at {datetime.fromtimestamp(refused.at, UTC):%H:%M:%S %Z}",
            cause=cause.why,
            fix=cause.fix,
        )
