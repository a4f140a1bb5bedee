from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from lkhub.checks.connections import check_connections
from lkhub.findings.finding import RECENT_SECONDS
from lkhub.wire.control import HubReport
from tests.reports import hub_report

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
QUIET: dict[str, Any] = {"open": 3, "limit": 896, "refused": 0, "refusal": None, "failure": None}


def told(process: str, kind: str, processes: Sequence[dict[str, Any]] = (), **changed: Any) -> HubReport:
    report = QUIET | changed
    media = {"ice_tcp": QUIET, "signalling": QUIET} | ({kind: report} if kind else {})
    edge = {"connections": report if process == "edge" else QUIET}
    return hub_report({"processes": processes, "media": {"connections": media}, "edge": edge})


PLACES = [
    ("media", "ice_tcp", "media over TCP"),
    ("media", "signalling", "media's signalling"),
    ("edge", "", "the edge"),
]


@pytest.mark.parametrize(("process", "kind", "name"), PLACES)
def test_address_that_reaches_its_bound_is_named(process: str, kind: str, name: str) -> None:
    refusal = {"at": NOW.timestamp() - 60, "client": "198.51.100.7", "held": 448, "full": False}
    [finding] = check_connections(told(process, kind, open=448, refused=2152, refusal=refusal), NOW)
    assert (finding.code, finding.subject, finding.severity) == ("connections-refused", process, "warning")
    assert finding.title == f"{name} refuses connections from 198.51.100.7"
    assert "448 of 896" in finding.detail
    assert "11:59:00 UTC" in finding.detail
    assert "198.51.100.7" in finding.fix[0].text


def test_no_address_is_named_if_all_connections_together_reach_the_limit() -> None:
    refusal = {"at": NOW.timestamp() - 60, "client": "198.51.100.7", "held": 1, "full": True}
    [finding] = check_connections(told("edge", "", open=896, refused=1, refusal=refusal), NOW)
    assert finding.title == "the edge refuses connections: every place was taken"
    assert all("198.51.100.7" not in fix.text for fix in finding.fix)


@pytest.mark.parametrize(("process", "kind", "name"), PLACES)
def test_connection_that_can_not_be_accepted_is_an_error(process: str, kind: str, name: str) -> None:
    failure = {"at": NOW.timestamp() - 1, "error": "accept tcp [::]:7881: accept4: too many open files"}
    [finding] = check_connections(told(process, kind, failure=failure), NOW)
    assert (finding.code, finding.subject, finding.severity) == ("accept-fails", process, "error")
    assert finding.title == f"{name} could not accept a connection"
    assert "too many open files" in finding.detail


@pytest.mark.parametrize(
    "answers",
    [
        hub_report({}),
        hub_report({"media": None, "edge": None}),  # neither runs, or neither answered in time
        hub_report(
            {"media": {}, "edge": {"connections": {"open": 3, "waiting": 0, "refused": 7}}}
        ),  # an engine of an earlier version
        told("edge", ""),
        told(
            "edge",
            "",
            refusal={"at": NOW.timestamp() - RECENT_SECONDS, "client": "198.51.100.7", "held": 448, "full": False},
        ),
    ],
)
def test_refusal_that_is_over_or_not_known_is_no_finding(answers: HubReport) -> None:
    assert list(check_connections(answers, NOW)) == []
