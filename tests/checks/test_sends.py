from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from lkhub.checks.called import CalledHub
from lkhub.checks.calls import check_paths
from lkhub.checks.paths import PathResult
from lkhub.checks.sends import MANY, blame_sends, check_sends
from lkhub.findings.finding import RECENT_SECONDS
from lkhub.wire.control import HubReport
from tests.reports import hub_report

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
AT = NOW.timestamp()
OWN = CalledHub("lan", "internal", ports={"udp": "7882/udp", "turn-udp": "3478/udp"})


def refuse(
    process: str, row: int = 40, errno: str = "EPERM", error: str = "", ago: float = 1.0, to: str = "192.168.1.5:40000"
) -> HubReport:
    last = {"at": AT - ago, "errno": errno, "error": error or "operation not permitted", "to": to}
    quiet = {"left": 5, "refused": 0, "row": 0, "last": None}
    told: dict[str, Any] = {name: {"sends": quiet} for name in ("media", "relay")}
    told[process] = {"sends": {"left": 5, "refused": row, "row": row, "last": last}}
    return hub_report(told)


def fail(path: str, reason: str = "no-reply", **evidence: str) -> PathResult:
    return PathResult(path, False, "connect", "no candidate pair answered", reason=reason, evidence=evidence)


UDP = fail("udp", remote="udp 192.168.1.5:7882")
OVER_RELAY = fail("turn-tls", remote="udp 192.168.1.5:7882")
TCP = fail("tcp", remote="tcp 192.168.1.5:7881")
SILENT = fail("turn-udp", "turn-silent", relay="turn:192.168.1.5:3478")


@pytest.mark.parametrize(("process", "result"), [("media", UDP), ("media", OVER_RELAY), ("relay", SILENT)])
def test_refusal_of_this_machine_is_not_blamed_on_a_firewall_in_between(process: str, result: PathResult) -> None:
    [blamed] = blame_sends([result], refuse(process), AT)
    [finding] = check_paths([blamed], OWN)
    assert finding.code == "path-fails"
    assert f"refused to send the last 40 packets of {process}" in finding.detail
    assert "192.168.1.5:40000: operation not permitted (EPERM)" in finding.detail
    assert f"forbids {process} to send" in finding.cause
    assert "not decided" in finding.cause
    assert finding.fix[0].command == "sudo nft list ruleset"
    assert "lkhub firewall" not in str(finding.fix)


@pytest.mark.parametrize(("errno", "error"), [("ENETUNREACH", "network is unreachable"), ("EHOSTUNREACH", "no route")])
def test_a_missing_route_is_named_with_the_address(errno: str, error: str) -> None:
    [finding] = check_paths(blame_sends([UDP], refuse("media", errno=errno, error=error), AT), OWN)
    assert "can't send from media's address to 192.168.1.5" in finding.cause
    assert finding.fix[0].command == "ip route get 192.168.1.5"


def test_an_unforeseen_error_is_reported_in_its_own_words() -> None:
    [finding] = check_paths(blame_sends([UDP], refuse("media", errno="", error="odd"), AT), OWN)
    assert finding.detail.endswith("the last to 192.168.1.5:40000: odd")
    assert finding.cause == "this machine does not send what media gives it"


def test_address_of_ipv6_is_read() -> None:
    told = refuse("media", errno="ENETUNREACH", to="[2001:db8::5]:40000")
    [finding] = check_paths(blame_sends([UDP], told, AT), OWN)
    assert finding.fix[0].command == "ip route get 2001:db8::5"


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (UDP, hub_report({})),
        (UDP, hub_report({"media": {"sends": None}})),
        (UDP, refuse("media", row=MANY - 1)),
        (UDP, refuse("media", ago=RECENT_SECONDS + 1)),
        (UDP, refuse("relay")),
        (TCP, refuse("media")),
        (SILENT, refuse("media")),
        (fail("turn-tls", "turn-silent"), refuse("relay")),
        (fail("udp", "server-first", remote="udp 192.168.1.5:7882"), refuse("media")),
        (PathResult("udp", True, "media", "heard"), refuse("media")),
    ],
)
def test_sends_are_blamed_only_where_that_is_known(result: PathResult, told: HubReport) -> None:
    assert blame_sends([result], told, AT) == (result,)


def test_one_cause_is_one_finding() -> None:
    told = msgspec.structs.replace(refuse("media"), relay=refuse("relay").relay)
    [finding] = check_paths(blame_sends([UDP, SILENT, OVER_RELAY], told, AT), OWN)
    assert finding.title == "no call gets through on the paths udp, turn-udp and turn-tls"
    assert list(check_sends(told, blame_sends([UDP, SILENT], told, AT), NOW)) == []


@pytest.mark.parametrize("process", ["media", "relay"])
def test_unverified_path_is_reported_separately(process: str) -> None:
    [finding] = check_sends(refuse(process, ago=60), [UDP], NOW)
    assert (finding.code, finding.subject, finding.severity) == ("sends-refused", process, "error")
    assert "at 11:59:00 UTC" in finding.detail


@pytest.mark.parametrize(
    "told",
    [
        hub_report({}),
        refuse("media", row=MANY - 1),
        refuse("media", errno="ENETUNREACH"),
        refuse("media", ago=RECENT_SECONDS + 1),
    ],
)
def test_a_client_without_a_route_is_no_finding(told: HubReport) -> None:
    assert list(check_sends(told, [], NOW)) == []
