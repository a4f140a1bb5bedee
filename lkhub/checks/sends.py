"""Packets that media and the relay could not send: the cause of failed calls, or a finding of its own. Pure.

WebRTC reports no error of `sendto`: the packet counts as lost, and a call that gets no answer looks as if a firewall on
the way had dropped the packets. The engine counts these errors (engine/internal/sendcount).
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

# So many refused packets in a row are no chance. Where only one client's address has no route, packets to other clients
# are sent in between. A call whose packets are all refused makes 25 refusals in its five seconds.
MANY = 10

REASON = "sends-refused"

# The errors where a rule or a filter on this machine forbids to send. Other errors are about routes: they may be due to
# the client's address as well as to this machine.
_FORBIDDEN = ("EPERM", "EACCES")


@dataclass(frozen=True)
class _Refused:
    """The last packets of a process, all of which this machine refused to send. `row`: how many. `at`: when it refused
    the last (epoch seconds). `to`: the address that the last was for."""

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


def _read(report: HubReport, process: str, now: float) -> _Refused | None:
    status = report.media if process == "media" else report.relay
    sends = status.sends if status else None
    last = sends.last if sends else None
    if sends is None or last is None or sends.row < MANY or now - last.at > RECENT_SECONDS:
        return None
    return _Refused(process, sends.row, last.at, last.errno, last.error, last.to)


def blame_sends(results: Iterable[PathResult], report: HubReport, now: float) -> tuple[PathResult, ...]:
    """The results, with another reason for each path that got no answer over UDP because this machine refused to send
    the answers.

    `report` is the supervisor's from right after the calls; `now` is in epoch seconds.
    """
    refused = {process: _read(report, process, now) for process in ("media", "relay")}
    return tuple(_blame(result, refused.get(_answers(result))) for result in results)


def _answers(result: PathResult) -> str:
    """The process that should have answered over UDP; "" where none should have, or where it is another server's."""
    if result.reason == "no-reply" and result.evidence.get("remote", "").startswith("udp "):
        return "media"  # also through a relay, which forwards to media
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
                "a rule of its firewall for outgoing packets",
                "a filter on the process, as systemd and containers have them",
            ),
            (
                Fix(
                    "look for drop or reject in the chains for outgoing packets (hook output)", "sudo nft list ruleset"
                ),
                Fix(
                    "if systemd runs the hub: take IPAddressDeny=, IPEgressFilterPath= and a SystemCallFilter= that "
                    "lacks @network-io out of its unit"
                ),
                Fix("if a container runs it: use the default seccomp profile"),
            ),
        )
    if errno in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EADDRNOTAVAIL"):
        return Cause(
            f"this machine can't send from {process}'s address to {host}: there is no route, a route prohibits it, or "
            "an interface is down",
            (Fix("see which route it takes", f"ip route get {host}"), Fix("see its addresses", "ip address"), log),
        )
    return Cause(f"this machine does not send what {process} gives it", (log,))


CAUSES: Mapping[str, Explain] = {REASON: _explain}


def check_sends(report: HubReport, paths: Iterable[PathResult], now: datetime) -> Iterator[Finding]:
    """A finding for each process that is forbidden to send, unless a failed path of the verification says so."""
    blamed = {result.evidence.get("process") for result in paths if result.reason == REASON}
    for process in ("media", "relay"):
        refused = _read(report, process, now.timestamp())
        if refused is None or process in blamed or refused.errno not in _FORBIDDEN:
            continue
        cause = _explain_errno(refused.evidence)
        yield sends_refused(process).about(
            process,
            detail=f"{_describe(refused.evidence)}, at {datetime.fromtimestamp(refused.at, UTC):%H:%M:%S %Z}",
            cause=cause.why,
            fix=cause.fix,
        )
