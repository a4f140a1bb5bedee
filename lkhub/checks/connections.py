"""What media and the edge say of their clients' connections → findings. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lkhub.checks.limits import SOMEHOW, more_files
from lkhub.findings.catalogue.limits import accept_fails, connections_refused
from lkhub.findings.finding import RECENT_SECONDS, Finding, Fix
from lkhub.plan.host import RunsIn

# What takes connections, by the process that tells of them and their kind.
_OF = {
    ("media", "ice_tcp"): "media over TCP",
    ("media", "signalling"): "media's signalling",
    ("edge", ""): "the edge",
}


def check_connections(told: Mapping[str, Any], now: datetime, runs_in: RunsIn = SOMEHOW) -> Iterator[Finding]:
    """Findings where connections are refused, or could not be accepted. `told` is what media and the edge answered, by
    their names: `connections` of each, and for media one each of its kinds; and `processes`."""
    pids = {row["name"]: row["pid"] for row in told.get("processes", ()) if row.get("pid")}
    for (process, kind), name in _OF.items():
        report = (told.get(process) or {}).get("connections") or {}
        report = report.get(kind) if kind else report
        if not report:
            continue
        refusal, failure = report.get("refusal"), report.get("failure")
        if refusal and _is_recent(refusal, now):
            yield _find_refused(process, name, report, refusal, runs_in)
        if failure and _is_recent(failure, now):
            yield accept_fails(name).about(
                process,
                detail=f"{failure['error']}, at {_time(failure['at'])}",
                fix=(*_see_limit(pids.get(process)), *more_files(runs_in)),
            )


def _see_limit(pid: int | None) -> tuple[Fix, ...]:
    if pid is None:
        return ()
    text = "see how many files it may open (the last number); each connection takes one or two"
    return (Fix(text, f"grep 'open files' /proc/{pid}/limits"),)


def _find_refused(
    process: str, name: str, report: Mapping[str, Any], refusal: Mapping[str, Any], runs_in: RunsIn
) -> Finding:
    client, more = refusal["client"], more_files(runs_in)
    detail = (
        f"at {_time(refusal['at'])} {client} had {refusal['held']}; {report['open']} of {report['limit']} places are "
        f"taken now, and {report['refused']} connections were refused since the process started"
    )
    if refusal["full"]:
        return connections_refused(name, client, full=True).about(process, detail=detail, fix=more)
    shut_out = Fix(f"if you don't know {client}, shut it out in your firewall")
    return connections_refused(name, client, full=False).about(process, detail=detail, fix=(shut_out, *more))


def _is_recent(event: Mapping[str, Any], now: datetime) -> bool:
    return bool(now.timestamp() - event["at"] < RECENT_SECONDS)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S %Z}"
