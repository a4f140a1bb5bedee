"""Turns what media and the edge report of their clients' connections into findings. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime

from lkhub.checks.limits import UNKNOWN, more_files
from lkhub.findings.catalogue.limits import accept_fails, connections_refused
from lkhub.findings.finding import RECENT_SECONDS, Finding, Fix
from lkhub.plan.host import RunsIn
from lkhub.wire.control import HubReport
from lkhub.wire.engine import Connections, Refusal


def check_connections(report: HubReport, now: datetime, runs_in: RunsIn = UNKNOWN) -> Iterator[Finding]:
    """Findings where a process refuses connections, or could not accept them."""
    pids = {process.name: process.pid for process in report.processes}
    for process, name, connections in _list_connections(report):
        refusal, failure = connections.refusal, connections.failure
        if refusal and _is_recent(refusal.at, now):
            yield _find_refused(process, name, connections, refusal, runs_in)
        if failure and _is_recent(failure.at, now):
            yield accept_fails(name).about(
                process,
                detail=f"{failure.error}, at {_time(failure.at)}",
                fix=(*_see_limit(pids.get(process)), *more_files(runs_in)),
            )


def _list_connections(report: HubReport) -> Iterator[tuple[str, str, Connections]]:
    """For each listener for clients: the process that reports its connections, the listener's name in a sentence, and
    the connections."""
    media, edge = report.media, report.edge
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


def _find_refused(process: str, name: str, connections: Connections, refusal: Refusal, runs_in: RunsIn) -> Finding:
    client, more = refusal.client, more_files(runs_in)
    detail = (
        f"at {_time(refusal.at)} {client} had {refusal.held}; {connections.open} of {connections.limit} places are "
        f"taken now, and {connections.refused} connections were refused since the process started"
    )
    if refusal.full:
        return connections_refused(name, client, full=True).about(process, detail=detail, fix=more)
    shut_out = Fix(f"if you don't know {client}, shut it out in your firewall")
    return connections_refused(name, client, full=False).about(process, detail=detail, fix=(shut_out, *more))


def _is_recent(at: float, now: datetime) -> bool:
    return now.timestamp() - at < RECENT_SECONDS


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S %Z}"
