from datetime import UTC, datetime
from typing import Any

import pytest

from lkhub.checks.relay import NEARLY_FULL, check_relay
from lkhub.findings.finding import RECENT_SECONDS, Finding
from lkhub.hub.status import HubStatus
from tests.reports import edge_status, hub_report, relay_status

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def ports(held: int, most: tuple[str, int] | None = None, **more: Any) -> dict[str, Any]:
    told = {"address": most[0], "held": most[1]} if most else None
    return {"size": 5000, "range": 5000, "held": held, "most": told, "refused": {}, "asked": None, **more}


def refused(reason: str, ago: float = 0) -> dict[str, Any]:
    return {"refused": {reason: {"count": 1200, "at": NOW.timestamp() - ago, "address": "203.0.113.7"}}}


def find(udp: dict[str, Any] | None = None, tls: dict[str, Any] | None = None, mode: str = "acme") -> list[Finding]:
    edge = edge_status(relay={"allocations": 0, "connections": 0, **({"ports": tls} if tls else {})})
    return list(check_relay(relay_status(ports=udp) if udp else None, edge, mode, NOW))


@pytest.mark.parametrize(
    ("relay", "edge"),
    [
        (None, None),
        ({}, {}),
        ({"allocations": 3}, {"relay": {"allocations": 3}}),
        ({"ports": ports(0)}, {"relay": {"ports": ports(0)}}),
        ({"ports": ports(3749, ("203.0.113.7", 1600))}, None),
        ({"ports": ports(10, **refused("quota"))}, None),
        ({"ports": ports(10, **refused("left"))}, None),
        ({"ports": ports(10, **refused("full", ago=RECENT_SECONDS))}, None),
        ({"ports": ports(10, **refused("address", ago=RECENT_SECONDS))}, None),
    ],
)
def test_relay_with_free_ports_or_without_a_report_is_no_finding(relay: Any, edge: Any) -> None:
    said = relay_status(**relay) if relay is not None else None, edge_status(**edge) if edge is not None else None
    assert list(check_relay(*said, "acme", NOW)) == []


@pytest.mark.parametrize(
    ("told", "severity", "title"),
    [
        (ports(int(5000 * NEARLY_FULL)), "warning", "TURN over UDP is nearly full"),
        (ports(5000), "error", "TURN over UDP is full"),
        (ports(4990, **refused("full")), "error", "TURN over UDP is nearly full"),
        # A client was refused a moment ago, and other clients have left since.
        (ports(10, **refused("full")), "error", "TURN over UDP is nearly full"),
    ],
)
def test_range_that_runs_low_is_reported_with_figures(told: dict[str, Any], severity: str, title: str) -> None:
    [finding] = find(udp=told)
    assert (finding.code, finding.subject, finding.severity) == ("relay-nearly-full", "turn-udp", severity)
    assert finding.title == title
    assert f"{told['held']:,} of 5,000 relay ports are taken" in finding.detail
    assert "turn.relay" in finding.fix[-1].text


def test_each_path_is_distinguished() -> None:
    assert [finding.subject for finding in find(udp=ports(5000), tls=ports(4000))] == ["turn-udp", "turn-tls"]


def test_address_that_holds_much_is_named() -> None:
    [finding] = find(udp=ports(4000, ("203.0.113.7", 1600)))
    assert "1,600 of them by 203.0.113.7" in finding.detail
    assert "203.0.113.7" in finding.fix[0].text
    [finding] = find(udp=ports(4000, ("203.0.113.7", 300)))
    assert "203.0.113.7" not in " ".join(fix.text for fix in finding.fix), "one of many is nothing to look at"


def test_range_that_lacks_open_files_is_not_to_be_widened() -> None:
    [finding] = find(tls=ports(880, size=900))
    assert finding.subject == "turn-tls"
    assert not any("turn.relay" in fix.text for fix in finding.fix)
    assert "ulimit -Hn 65536" in [fix.command for fix in finding.fix]


def test_address_that_is_refused_is_named_with_a_remedy() -> None:
    [finding] = find(udp=ports(2000, ("203.0.113.7", 1600), **refused("address")))
    assert (finding.code, finding.subject, finding.severity) == ("relay-address-full", "turn-udp", "warning")
    assert finding.title == "203.0.113.7 gets no more ports for TURN over UDP"
    assert "1,200 allocations refused" in finding.detail


@pytest.mark.parametrize(
    ("path", "mode", "names_proxy"), [("tls", "external", True), ("tls", "acme", False), ("udp", "external", False)]
)
def test_proxy_is_suspected_where_there_may_be_one(path: str, mode: str, names_proxy: bool) -> None:
    told = {path: ports(2000, **refused("address"))}
    [finding] = find(udp=told.get("udp"), tls=told.get("tls"), mode=mode)
    assert any("PROXY protocol" in fix.text for fix in finding.fix) is names_proxy


def test_findings_about_the_relay_are_among_those_of_status() -> None:
    supervisor = {"processes": [{"name": "relay", "state": "running", "since": 1.0}], "relay": {"ports": ports(5000)}}
    assert [finding.code for finding in HubStatus(None, hub_report(supervisor), (), None).find(NOW)] == [
        "relay-nearly-full"
    ]
