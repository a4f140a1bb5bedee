"""Each reason of the probe has its own causes, and the evidence decides between them."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from lkhub.checks import causes, causes_http
from lkhub.checks.called import FOREIGN, CalledHub
from lkhub.checks.calls import check_paths
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Ref
from lkhub.hub.called import describe_called
from lkhub.plan.model import ProbePath
from lkhub.spec.load import load_spec
from tests.checks.called import GIVEN, OWN, PROXIED, TABLES, fail, find, say
from tests.documents import ROOT
from tests.reports import applied_record, edge_status

PROBE = ROOT / "engine/internal/probe"
# Reasons that say nothing about the server, and reasons that say no more than their stage.
WITHOUT_CAUSE = {
    *("connect-failed", "bad-certificate", "session-ended", "session-lost"),
    *("no-description", "no-candidate", "join-failed"),
    *("no-ipv6", "needs-subscriber", "interrupted"),
}


def read_reasons() -> set[str]:
    """All reasons of the probe."""
    return set(name_reasons().values())


def name_reasons() -> dict[str, str]:
    """All reasons of the probe, by their names in Go."""
    text = (PROBE / "reasons.go").read_text()
    return dict(re.findall(r'^\t(\w+) +Reason = "([\w-]+)"', text, re.MULTILINE))


def test_every_reason_of_the_probe_has_causes_of_its_own() -> None:
    not_of_the_probe = {"another-page", "part-missing", "not-promised"}
    assert read_reasons() == {*TABLES, *WITHOUT_CAUSE} - not_of_the_probe


def test_every_reason_is_used_by_the_probe() -> None:
    files = [file for file in PROBE.glob("*.go") if not file.name.endswith(("_test.go", "reasons.go"))]
    words = set(re.findall(r"\w+", "".join(file.read_text() for file in files)))
    assert name_reasons().keys() - words == set()


@pytest.mark.parametrize("hub", [OWN, PROXIED, FOREIGN, GIVEN], ids=["own", "proxied", "foreign", "given"])
@pytest.mark.parametrize("reason", sorted(TABLES.keys() - {"too-lossy"}))
def test_every_cause_is_a_whole_text(reason: str, hub: CalledHub) -> None:
    """Also without evidence the text has no gap, and every cause has a fix."""
    text = say(find(fail("udp", "http", reason), hub))
    assert not re.search(r"None|\{|\}|  |: :|\(\)", text.replace("{version: 2}", "")), text
    assert find(fail("udp", "http", reason), hub).fix or reason == "not-accepted", text


@pytest.mark.parametrize("reason", ["tls-silent", "tls-closed", "tls-alert"])
def test_hub_without_a_certificate_is_why_no_path_works(reason: str) -> None:
    """The cause is neither the program that listens on the port, nor the name that was called."""
    record = applied_record(reach="lan", tls="tailscale", endpoints={"name": "hub.tail1234.ts.net"})
    failure = {"name": "hub.tail1234.ts.net", "issuer": "tailscale", "kind": "tailscale", "error": "its words"}
    hub = describe_called(record, edge_status(failures=[failure]))
    finding = find(fail("udp", "tls", reason), hub)
    assert finding.depends_on == (Ref("certificate-fails", "hub.tail1234.ts.net"),)
    assert finding.cause.endswith(
        "no certificate for hub.tail1234.ts.net, so that nobody can connect: certificate-fails says why"
    )
    assert finding.fix == ()
    pending = describe_called(record, edge_status(pending=["hub.tail1234.ts.net"]))
    assert find(fail("udp", "tls", reason), pending).depends_on == (Ref("certificate-pending", "hub.tail1234.ts.net"),)
    assert (
        find(fail("udp", "tls", "expired"), hub).depends_on == find(fail("udp", "tcp", "refused"), hub).depends_on == ()
    )
    certified = describe_called(record, edge_status(failures=[{**failure, "name": "turn.example.com"}]))
    assert find(fail("udp", "tls", reason), certified).depends_on == ()


@pytest.mark.parametrize("reason", sorted(WITHOUT_CAUSE))
def test_reason_without_a_cause_has_the_cause_of_its_stage(reason: str) -> None:
    assert find(fail("udp", "join", reason)).cause == causes._STAGES["join"]


def test_unknown_stage_and_reason_are_still_a_finding() -> None:
    assert find(PathResult("udp", False, "tomorrow", "")).cause


@pytest.mark.parametrize(
    ("stage", "reasons"),
    [
        ("dns", ["name-unknown", "look-up-silent", "look-up-failed"]),
        ("tcp", ["refused", "silent", "unreachable"]),
        ("tls", ["not-tls", "tls-silent", "tls-closed", "tls-alert", "expired", "not-yet-valid", "wrong-name"]),
        ("tls", ["chain-gap", "unknown-issuer", "self-signed", "expired"]),
        ("http", ["not-livekit", "login", "forbidden", "gateway", "wants-tls", "hub-wrong-host"]),
        ("http", ["hub-not-trusted", "hub-without-media", "hub-media-down", "http-silent", "http-closed"]),
        ("token", ["unknown-key", "bad-signature", "token-expired", "token-too-early", "token-malformed"]),
        ("token", ["no-grant", "no-identity", "no-room", "room-full", "limit-reached", "token-mismatch"]),
        ("join", ["not-upgraded", "signal-silent", "signal-ended", "not-offered"]),
        ("gather", ["turn-silent", "turn-login", "turn-refused", "turn-forbids", "turn-is-web", "no-own-address"]),
        ("connect", ["no-reply", "server-first", "loopback-told"]),
        ("media", ["nothing-heard", "no-picture", "not-accepted"]),
    ],
)
@pytest.mark.parametrize("hub", [FOREIGN, GIVEN], ids=["key", "given"])
def test_causes_of_one_stage_differ(stage: str, reasons: list[str], hub: CalledHub) -> None:
    found = [find(fail("udp", stage, reason), hub) for reason in reasons]
    assert len({finding.cause for finding in found}) == len(reasons)


def test_a_range_of_ports_may_be_used_up() -> None:
    """One port for all calls can't be used up, and the range says nothing about other paths or other machines."""
    ranged = replace(OWN, ports={**OWN.ports, "udp": "50000-50099/udp"})
    text = say(find(fail("udp", "join", "not-offered"), ranged))
    assert "all of 50000-50099 may be taken" in text
    assert "ss -lun 'sport >= :50000 and sport <= :50099'" in text
    for path, hub in (("udp", OWN), ("tcp", ranged), ("udp", replace(ranged, reach=""))):
        assert "taken" not in say(find(fail(path, "join", "not-offered"), hub))


@pytest.mark.parametrize(
    ("result", "named"),
    [
        (fail("udp", "http", "hub-wrong-host"), ["another Host than rtc.example.com", "proxy_set_header Host $host;"]),
        (fail("udp", "http", "hub-without-media"), ["127.0.0.1:8080", "proxy_pass http://127.0.0.1:7883;"]),
        (fail("udp", "http", "gateway", status="502"), ["502", "127.0.0.1:7883", "lkhub status"]),
        (fail("udp", "http", "login"), ["login", "/rtc, /twirp, /agent and /whip"]),
        (
            fail("udp", "http", "redirect", location="https://auth.example.com/", to_host="auth.example.com"),
            ["auth.example.com", "/rtc, /twirp, /agent and /whip"],
        ),
        (fail("udp", "http", "not-found"), ["from / on", "proxy_pass http://127.0.0.1:7883;"]),
        (fail("udp", "http", "hub-not-trusted"), ["tls.trusted_proxies", "lkhub up"]),
        (fail("udp", "http", "wants-tls"), ["plain HTTP", "127.0.0.1:7883"]),
        (fail("udp", "join", "not-upgraded"), ["proxy_http_version 1.1", "Upgrade $http_upgrade", "HTTP/1.0"]),
        (fail("udp", "tcp", "refused", address="93.184.216.5:443"), ["93.184.216.5:443", "start the proxy"]),
        (fail("udp", "tls", "not-tls", address="93.184.216.5:443"), ["listen 443 ssl;"]),
        (fail("udp", "tls", "chain-gap", issuer="R3"), ["ssl_certificate", "fullchain.pem"]),
        (fail("udp", "token", "unknown-key", key="API1"), ["another LiveKit answers, not this hub", "127.0.0.1:7883"]),
        (fail("udp", "token", "no-grant"), ["Authorization"]),
    ],
)
def test_line_of_the_proxy_and_the_upstream_address_are_named(result: PathResult, named: list[str]) -> None:
    text = say(find(result, PROXIED))
    assert [name for name in named if name not in text] == [], text
    assert "status` shows" not in text, "the address is the right one"


@pytest.mark.parametrize("reason", sorted(causes_http.CAUSES))
def test_upstream_address_of_a_foreign_proxy_is_unknown(reason: str) -> None:
    assert "None" not in say(find(fail("udp", "http", reason), FOREIGN))


def test_turn_that_a_proxy_forwards_without_the_clients_addresses() -> None:
    result = fail("turn-tls", "tls", "tls-closed", turn_url="turns:turn.example.com:443?transport=tcp")
    text = say(find(result, PROXIED))
    assert "not decided" in text
    assert all(name in text for name in ("proxy_protocol on;", "send-proxy-v2", "127.0.0.1:5349", "lkhub logs edge"))
    assert "PROXY" not in say(find(result, OWN))


@pytest.mark.parametrize("reason", ["refused", "silent"])
def test_behind_a_proxy_turn_over_tls_has_a_port_of_its_own(reason: str) -> None:
    result = fail("turn-tls", "tcp", reason, address="93.184.216.5:5349", turn_url="turns:rtc.example.com:5349")
    direct = replace(PROXIED, turn="rtc.example.com:5349")
    text = say(find(result, direct))
    assert "5349/tcp, which turn.listen names" in text
    # Where nothing listens, opening the port changes nothing.
    assert ("lkhub firewall status" in text) is (reason == "silent")
    split = {
        "refused": "forward TLS for turn.example.com unchanged to 127.0.0.1:5349",
        "silent": "on the proxy's machine",
    }
    assert split[reason] in say(find(result, PROXIED))


@pytest.mark.parametrize(("sent", "is_open"), [("1", True), ("2", False)])
def test_chain_of_one_certificate_leaves_two_causes(sent: str, is_open: bool) -> None:
    result = fail("udp", "tls", "unknown-issuer", issuer="Hub CA", sent=sent)
    for hub in (replace(OWN, tls="files"), PROXIED, FOREIGN):
        finding = find(result, hub)
        assert finding.cause.startswith("not decided") is is_open
        text = say(finding)
        assert all(name in text for name in ("update-ca-certificates", "SSL_CERT_FILE", "Hub CA"))
        assert ("fullchain.pem" in text) is is_open
        assert "ws://" not in text


@pytest.mark.parametrize("hub", [OWN, FOREIGN])
def test_token_that_was_made_just_now_has_not_expired_by_itself(hub: CalledHub) -> None:
    text = say(find(fail("udp", "token", "token-expired"), hub))
    assert "clock" in text
    # The hub and its own verification run by the same clock.
    assert ("clocks of this machine and the server differ" in text) is (hub is FOREIGN)
    assert "clocks" not in find(fail("udp", "token", "token-expired"), GIVEN).cause


@pytest.mark.parametrize(("reason", "said"), [("unknown-key", "API1"), ("bad-signature", "secret")])
def test_key_of_another_server_leads_to_the_hubs_own(reason: str, said: str) -> None:
    finding = find(fail("udp", "token", reason, key="API1"), FOREIGN)
    assert said in finding.cause
    assert [fix.command for fix in finding.fix] == ["lkhub env"]


def test_signalling_that_is_silent_is_not_a_path_that_is_not_offered() -> None:
    finding = find(fail("tcp", "join", "signal-silent"), FOREIGN)
    assert "not decided" in finding.cause
    assert "offer" not in say(finding)
    assert "media.tcp" not in say(finding)


@pytest.mark.parametrize("hub", [OWN, FOREIGN, PROXIED])
def test_signalling_that_answers_now_and_then_is_no_server_that_hangs(hub: CalledHub) -> None:
    """The line loses a third of all packets: each path fails at the stage where its packets were lost."""
    silent = [fail("tcp", "http", "http-silent"), fail("turn-udp", "join", "signal-silent")]
    silent.append(fail("turn-tls", "tls", "tls-silent", address="198.18.0.1:443"))
    works = PathResult("udp", True, "media", "")
    [finding] = check_paths([works, *silent], hub)
    assert "the paths tcp, turn-udp and turn-tls" in finding.title
    assert "the signalling answered at the same time on another path: not decided: the line loses" in finding.cause
    assert "speaks no TLS" not in say(finding)
    [finding] = check_paths(silent, hub)
    assert "on another path" not in finding.cause


def test_proxy_on_another_machine_can_not_reach_an_upstream_address_on_loopback() -> None:
    result = fail("udp", "http", "gateway", status="502")
    assert "tls.trusted_proxies" in say(find(result, PROXIED))
    assert "tls.trusted_proxies" not in say(find(result, replace(PROXIED, upstream="192.168.1.5:7883")))


@pytest.mark.parametrize(
    ("path", "stage", "reason", "is_told"),
    [
        ("udp", "connect", "no-reply", True),
        ("tcp", "connect", "no-reply", True),
        ("turn-udp", "gather", "turn-silent", True),
        ("turn-tls", "connect", "no-reply", True),
        ("turn-tls", "gather", "turn-is-web", False),
        ("udp", "dtls", "dtls-unfinished", False),
        ("udp", "tcp", "refused", False),
    ],
)
def test_address_that_a_foreign_server_tells_clients_is_doubted_first(
    path: str, stage: str, reason: str, is_told: bool
) -> None:
    """The own hub takes care of its address itself."""
    assert ("rtc.node_ip" in find(fail(path, stage, reason), FOREIGN).fix[0].text) is is_told
    assert "rtc.node_ip" not in say(find(fail(path, stage, reason), OWN))


@pytest.mark.parametrize("path", get_args(ProbePath))
@pytest.mark.parametrize("hub", [OWN, PROXIED])
def test_key_in_the_text_is_a_key_of_the_spec(path: ProbePath, hub: CalledHub) -> None:
    text = say(find(fail(path, "join", "not-offered"), hub))
    [named] = re.findall(r"whether (\w+\.\w+)", text)
    part, _, name = named.partition(".")
    assert load_spec(f"{part}: {{{name}: 9000}}".encode()).faults == []


def test_proxy_that_was_seen_without_the_proxy_protocol_is_named() -> None:
    now = datetime(2026, 11, 28, 0, 0, tzinfo=UTC)
    edge = {"unannounced": {"proxy": "127.0.0.1", "at": "2026-11-27T23:59:30Z", "count": 2}}
    assert describe_called(applied_record(), edge_status(**edge), now).unannounced == "127.0.0.1"
    assert describe_called(applied_record(), edge_status(**edge), now + timedelta(hours=1)).unannounced == ""
    assert describe_called(applied_record(), edge_status(unannounced=None), now).unannounced == ""
    result = fail("turn-tls", "tls", "tls-closed", turn_url="turns:turn.example.com:443?transport=tcp")
    finding = find(result, replace(PROXIED, unannounced="127.0.0.1"))
    assert "not decided" not in finding.cause
    assert (
        "the proxy at 127.0.0.1 forwards turn.example.com to 127.0.0.1:5349 without the PROXY protocol" in finding.cause
    )
    assert "proxy_protocol on;" in finding.fix[0].text
