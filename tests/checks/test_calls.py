from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

import pytest

from lkhub.checks.called import FOREIGN, CalledHub
from lkhub.checks.calls import check_paths
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Finding, Ref
from lkhub.hub.called import describe_called
from lkhub.plan.model import ProbePath
from tests.checks.called import OWN, fail, find, say
from tests.reports import applied_record

# --- one cause, one finding


def connect(path: str, remote: str = "udp 198.18.0.1:7882") -> PathResult:
    return fail(path, "connect", "no-reply", remote=remote, local="udp 198.18.0.2:40000")


def server_first(path: str) -> PathResult:
    return fail(path, "connect", "server-first", remote="udp 198.18.0.1:7882")


def fail_all(stage: str, reason: str) -> list[PathResult]:
    return [fail(path, stage, reason) for path in get_args(ProbePath)]


@pytest.mark.parametrize(
    ("results", "subjects"),
    [
        ([connect("udp"), connect("turn-udp"), connect("turn-tls")], ["udp"]),
        ([connect("turn-udp"), connect("turn-tls")], ["turn-udp"]),
        ([connect("udp"), connect("tcp", "tcp 198.18.0.1:7881")], ["udp", "tcp"]),
        ([connect("udp"), fail("turn-udp", "gather", "turn-silent")], ["udp"]),
        ([server_first("udp"), fail("turn-udp", "gather", "turn-silent")], ["udp"]),
        ([fail("turn-udp", "gather", "turn-silent")], ["turn-udp"]),
        (
            [fail("turn-udp", "gather", "turn-login"), fail("turn-tls", "gather", "turn-is-web")],
            ["turn-udp", "turn-tls"],
        ),
        *([(fail_all(stage, "whatever"), ["udp"]) for stage in ("dns", "tcp", "tls", "http", "token")]),
        (fail_all("join", "not-upgraded"), ["udp"]),
        (fail_all("join", "not-offered"), ["udp", "tcp", "turn-udp", "turn-tls"]),
        *([(fail_all("join", reason), ["udp"]) for reason in ("no-candidate", "no-description", "not-accepted")]),
        ([replace(fail(path, "join", "no-candidate"), detail=path) for path in ("udp", "tcp")], ["udp", "tcp"]),
        ([fail("tcp", "http", "http-silent"), fail("turn-tls", "tls", "tls-silent")], ["tcp"]),
        ([fail("udp", "tcp", "refused"), fail("tcp", "tcp", "silent")], ["udp", "tcp"]),
        ([connect("udp"), fail("turn-tls", "tls", "expired", turn_url="turns:a")], ["udp", "turn-tls"]),
    ],
)
def test_paths_that_fail_for_one_cause_are_one_finding(results: list[PathResult], subjects: list[str]) -> None:
    found = list(check_paths(results, OWN))
    assert [finding.subject for finding in found] == subjects
    assert {finding.code for finding in found} == {"path-fails"}
    for result in results:
        assert any(result.path in finding.title for finding in found), "each is named"


def test_port_that_drops_packets_is_named_with_the_command_that_shows_why() -> None:
    [finding] = check_paths([connect("udp"), connect("turn-udp"), connect("turn-tls")], OWN)
    assert finding.title == "no call gets through on the paths udp, turn-udp and turn-tls"
    assert "7882/udp (media.udp)" in finding.fix[0].text
    assert [fix.command for fix in finding.fix][:2] == ["lkhub firewall status", "lkhub firewall apply"]
    assert not any(key in say(finding) for key in ("turn.udp", "tls.listen", "turn.listen"))


def test_port_that_this_machines_firewall_is_known_to_close_is_explained_once() -> None:
    """As where a rule drops packets over loopback too. The finding port-closed names the rule."""
    results = [connect("udp"), connect("turn-udp")]
    [finding] = check_paths(
        results, replace(OWN, closed={port: Ref("port-closed", "7882/udp") for port in ("7882/udp", "3478/udp")})
    )
    assert (finding.depends_on, [fix.command for fix in finding.fix]) == (
        (Ref("port-closed", "7882/udp"),),
        ["lkhub verify"],
    )
    assert "this machine's own firewall closes 7882/udp: port-closed says" in finding.cause
    assert "if it lets loopback pass, something else is wrong as well" in finding.cause
    for hub in (
        replace(OWN, closed={"3478/udp": Ref("port-closed", "3478/udp")}),
        replace(FOREIGN, closed={"7882/udp": Ref("port-closed", "7882/udp")}),
    ):
        [finding] = check_paths(results, hub)
        assert finding.depends_on == ()
        assert finding.fix


def test_turn_server_that_refuses_to_relay_is_not_blamed_on_a_firewall() -> None:
    finding = find(fail("turn-udp", "connect", "turn-forbids", remote="udp 10.0.0.5:7882"), FOREIGN)
    assert "udp 10.0.0.5:7882" in finding.cause
    assert "turn.allow_restricted_peer_cidrs" in say(finding)
    assert "firewall" not in say(finding)


def test_hubs_own_relay_that_gives_no_address_may_have_too_few_ports() -> None:
    """As with turn.relay: 30000-30003. The hub has no coturn, so the fix does not name one."""
    for path, log in (("turn-udp", "lkhub logs relay"), ("turn-tls", "lkhub logs edge")):
        said = say(find(fail(path, "gather", "turn-refused")))
        assert "turn.relay" in said
        assert log in said
        assert "coturn" not in said
    others = replace(OWN, external_turn=("turn.example.com:443",))
    assert "coturn" in say(find(fail("turn-tls", "gather", "turn-refused", relay="turns:turn.example.com:443"), others))


def test_no_udp_at_all_names_both_ports() -> None:
    silent = fail("turn-udp", "gather", "turn-silent", relay="turn:198.18.0.1:3478?transport=udp")
    for hub in (OWN, FOREIGN):
        [finding] = check_paths([connect("udp"), silent], hub)
        assert "7882/udp" in say(finding), hub
    assert "7882/udp and 3478/udp" in say(finding) or hub is FOREIGN


def codes(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_untried_paths_say_why_once() -> None:
    single = PathResult("udp", None, "dtls", "needs a second token", reason="needs-subscriber")
    found = list(check_paths([single, replace(single, path="tcp")]))
    assert codes(found) == ["path-not-tried", "path-not-tried"]
    assert "single token" in found[0].cause


def test_path_that_only_the_server_could_open_names_the_port_and_the_firewall() -> None:
    """A stateful firewall allows packets from clients that the server has sent to; the server can't send to a client
    behind a NAT."""
    [finding] = check_paths([server_first("udp"), fail("turn-udp", "gather", "turn-silent", relay="turn:h:3478")], OWN)
    assert "7882/udp" in finding.cause
    assert "behind a NAT" in finding.cause
    assert [fix.command for fix in finding.fix][:2] == ["lkhub firewall status", "lkhub firewall apply"]


# --- lines that lose packets


def lose(path: str, loss: float, picture: float | None = None, **more: Any) -> PathResult:
    return PathResult(path, True, "media", "", loss=loss, picture_loss=picture, **more)


TOO_BAD = replace(lose("turn-udp", 0.43, 0.4), ok=False, reason="too-lossy")


@pytest.mark.parametrize(
    ("results", "found"),
    [
        ([lose("udp", 0.0, 0.0)], []),
        ([lose("udp", 0.02, 0.01)], []),
        ([lose("udp", 0.05, 0.0)], [("path-lossy", "warning")]),
        ([lose("udp", 0.0, 0.05)], [("path-lossy", "warning")]),
        ([lose("udp", 0.33, None), TOO_BAD], [("path-lossy", "error")]),
        ([lose("tcp", 0.0), TOO_BAD], [("path-lossy", "error")]),
        ([TOO_BAD], [("path-lossy", "error")]),
    ],
)
def test_lost_packets_are_one_finding_for_all_paths(results: list[PathResult], found: list[tuple[str, str]]) -> None:
    findings = list(check_paths(results, OWN))
    assert [(finding.code, finding.severity) for finding in findings] == found
    for finding in findings:
        lossy = [result for result in results if max(result.loss or 0, result.picture_loss or 0) > 0.02]
        assert finding.subject == lossy[0].path
        assert all(result.path in finding.title for result in lossy)


def test_missing_answer_is_blamed_on_a_line_that_loses_many_packets() -> None:
    silent = fail("tcp", "join", "signal-silent")
    lossy, failed = check_paths([lose("udp", 0.33), silent], FOREIGN)
    assert (lossy.code, failed.code, failed.depends_on) == ("path-lossy", "path-fails", (lossy.ref,))
    assert "33%" in failed.cause
    assert "not decided" not in failed.cause
    [alone] = check_paths([silent], FOREIGN)
    assert alone.depends_on == ()
    _, refused = check_paths([lose("udp", 0.33), fail("tcp", "tcp", "refused")], FOREIGN)
    assert refused.depends_on == (), "a refusal is an answer"


# --- paths that work


def test_path_that_works_is_no_finding() -> None:
    assert list(check_paths([PathResult("udp", True, "media", "")])) == []


def test_own_hub_is_described_by_its_applied_record() -> None:
    endpoints = {"name": "a", "upstream": "b:1"}
    record = applied_record(reach="lan", tls="external", ports={"udp": "7882/udp"}, endpoints=endpoints)
    assert describe_called(record) == CalledHub("lan", "external", "a", "b:1", ports={"udp": "7882/udp"})
    assert describe_called(None) == FOREIGN
    assert not FOREIGN.is_own


@pytest.mark.parametrize(
    ("ok", "native", "code"),
    [
        (True, True, None),
        (True, None, None),
        (True, False, "native-refuses"),
        # Where the path does not work, the chain is not the cause.
        (False, False, "path-fails"),
        (None, False, "path-not-tried"),
    ],
)
def test_chain_that_native_applications_refuse_is_a_warning_where_the_path_works(
    ok: bool | None, native: bool | None, code: str | None
) -> None:
    result = PathResult("turn-tls", ok, "media", "", native=native, native_detail="issued by ISRG Root X1")
    found = list(check_paths([result]))
    assert [finding.code for finding in found] == ([code] if code else [])
    if code == "native-refuses":
        assert (found[0].subject, found[0].severity) == ("turn-tls", "warning")
        assert "ISRG Root X1" in found[0].detail
        assert "ZeroSSL" in found[0].fix[0].text


@pytest.mark.parametrize(
    ("reach", "severity"), [("lan", "info"), ("local", "info"), ("public", "warning"), ("", "warning")]
)
def test_in_ones_own_network_that_chain_is_a_note(reach: str, severity: str) -> None:
    [finding] = check_paths([PathResult("turn-tls", True, "media", "", native=False)], CalledHub(reach, "internal"))
    assert finding.severity == severity
    assert "443/tcp" in finding.cause, "when it matters"
    assert any("ZeroSSL" in fix.text for fix in finding.fix) is (severity == "warning")


UNTOLD = (
    "udp 203.0.113.5:7882, which clients are not told, and nothing answered at udp 198.51.100.9:7882, which they are"
)


def test_media_from_an_address_that_clients_are_not_told_is_a_warning() -> None:
    detail, evidence = f"20 of 20 packets; media came from {UNTOLD}", {"untold": "udp 203.0.113.5:7882"}
    assert not [*check_paths([PathResult("udp", True, "media", detail)])], "no finding is read out of words"
    result = PathResult("udp", True, "media", detail, evidence=evidence)
    [finding] = check_paths([result])
    assert (finding.code, finding.subject, finding.severity) == ("address-not-told", "udp", "warning")
    assert finding.detail == result.detail
    assert "NAT" in finding.title
    assert all(key in finding.fix[0].text for key in ("media.advertise", "rtc.node_ip", "rtc.use_external_ip"))
    [own] = check_paths([result], OWN)
    assert "media.advertise" in own.fix[0].text
    assert "rtc." not in own.fix[0].text, "the hub writes these itself"


def test_untold_address_is_no_finding_where_the_path_fails() -> None:
    result = PathResult("udp", False, "media", UNTOLD, evidence={"untold": "udp 203.0.113.5:7882"})
    assert [finding.code for finding in check_paths([result])] == ["path-fails"]


@pytest.mark.parametrize(
    ("relay", "external"),
    [
        ("turn:192.0.2.7:3479?transport=udp", True),
        ("turns:turn.example.com:443?transport=tcp", True),
        ("turns:[2001:db8::1]:5350?transport=tcp", True),
        ("turn:192.0.2.7:3478?transport=udp", False),
        ("turn:192.0.2.7:3479?transport=udp, turn:192.0.2.7:3478?transport=udp", False),
        ("turns:rtc.example.com:443?transport=tcp", False),
        (None, False),
    ],
)
def test_external_turn_server_is_recognised_by_its_address(relay: str | None, external: bool) -> None:
    others = ["192.0.2.7:3479", "turn.example.com:443", "[2001:db8::1]:5350"]
    hub = describe_called(applied_record(reach="lan", external_turn=others))
    assert hub.uses_external_turn(PathResult("turn-udp", False, "gather", "", relay=relay)) is external
    in_evidence = PathResult("turn-udp", False, "gather", "", evidence={"relay": relay} if relay else {})
    assert hub.uses_external_turn(in_evidence) is external
    assert not describe_called(applied_record(reach="lan")).uses_external_turn(in_evidence), (
        "a record of an older version"
    )


@pytest.mark.parametrize(
    "results",
    [
        [connect("udp")],
        [fail("turn-udp", "gather", "turn-silent")],
        [connect("udp"), fail("turn-udp", "gather", "turn-silent")],
    ],
)
def test_hub_for_this_machine_is_not_sent_to_a_firewall_table_that_it_does_not_have(results: list[PathResult]) -> None:
    [here] = check_paths(results, replace(OWN, reach="local", tls="off"))
    assert "lkhub status" in [fix.command for fix in here.fix]
    assert not any("lkhub firewall" in (fix.command or "") for fix in here.fix)
    [public] = check_paths(results, OWN)
    assert "lkhub firewall status" in [fix.command for fix in public.fix]
