"""What media and the edge say of their clients' connections → findings. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime

from lkhub.checks.limits import SOMEHOW, more_files
from lkhub.findings.catalogue.limits import accept_fails, connections_refused
from lkhub.findings.finding import RECENT_SECONDS, Finding, Fix
from lkhub.plan.host import RunsIn
from lkhub.wire.control import HubReport
from lkhub.wire.engine import Connections, Refusal


def check_connections(told: HubReport, now: datetime, runs_in: RunsIn = SOMEHOW) -> Iterator[Finding]:
    """Findings where connections are refused, or could not be accepted."""
    pids = {process.name: process.pid for process in told.processes}
    for process, name, report in _list_connections(told):
        refusal, failure = report.refusal, report.failure
        if refusal and _is_recent(refusal.at, now):
            yield _find_refused(process, name, report, refusal, runs_in)
        if failure and _is_recent(failure.at, now):
            yield accept_fails(name).about(
                process,
                detail=f"{failure.error}, at {_time(failure.at)}",
                fix=(*_see_limit(pids.get(process)), *more_files(runs_in)),
            )


def _list_connections(told: HubReport) -> Iterator[tuple[str, str, Connections]]:
    """What takes connections: the process that tells of them, its name in a sentence, and what it tells."""
    media, edge = told.media, told.edge
    if media and media.connections.ice_tcp:
        yield "media", "media over TCP", media.connections.ice_tcp
    if media and media.connections.signalling:
        yield "media", "media's signalling", media.connections.signalling
    if edge and edge.connections:
        yield "edge", "the edge", edge.connections


def _see_limit(pid: int | None) -> tuple[Fix, ...]:
    if pid is None:
        return ()
    text = "see how many files it may open (the last number); each connection takes one or two"
    return (Fix(text, f"grep 'open files' /proc/{pid}/limits"),)


def _find_refused(process: str, name: str, report: Connections, refusal: Refusal, runs_in: RunsIn) -> Finding:
    client, more = refusal.client, more_files(runs_in)
    detail = (
        f"at {_time(refusal.at)} {client} had {refusal.held}; {report.open} of {report.limit} places are "
        f"taken now, and {report.refused} connections were refused since the process started"
    )
    if refusal.full:
        return connections_refused(name, client, full=True).about(process, detail=detail, fix=more)
    shut_out = Fix(f"if you don't know {client}, shut it out in your firewall")
    return connections_refused(name, client, full=False).about(process, detail=detail, fix=(shut_out, *more))


def _is_recent(at: float, now: datetime) -> bool:
    return now.timestamp() - at < RECENT_SECONDS


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S %Z}"
