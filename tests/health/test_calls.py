import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from lkhub.health import causes, causes_http, causes_media, causes_way
from lkhub.health.called import SOMEBODYS, CalledHub
from lkhub.health.calls import check_paths
from lkhub.health.finding import Finding
from lkhub.health.paths import PathResult
from lkhub.plan.model import ProbePath
from lkhub.spec.load import load_spec
from tests.documents import ROOT

OWN = CalledHub(
    "public",
    "acme",
    name="rtc.example.com",
    web="127.0.0.1:8080",
    ports={"udp": "7882/udp", "tcp": "7881/tcp", "turn-udp": "3478/udp", "turn-tls": "443/tcp"},
    turn="rtc.example.com:443",
    turn_door="127.0.0.1:443",
)
PROXIED = replace(OWN, tls="external", door="127.0.0.1:7883", turn="turn.example.com:443", turn_door="127.0.0.1:5349")
GIVEN = replace(SOMEBODYS, given_tokens=True)

PROBE = ROOT / "engine/internal/probe"

# Lost packets have a finding of their own.
TABLES = {**causes_way.CAUSES, **causes_http.CAUSES, **causes_media.CAUSES}

# What stops a path without saying anything against the server, or has no more to say than its stage.
WITHOUT_CAUSE = {
    *("connect-failed", "bad-certificate", "session-ended", "session-lost"),
    *("no-description", "no-candidate", "join-failed"),
    *("no-ipv6", "needs-subscriber", "interrupted"),
}


def read_reasons() -> set[str]:
    """The reasons that the probe knows."""
    return set(name_reasons().values())


def name_reasons() -> dict[str, str]:
    """Each by its name in Go."""
    text = (PROBE / "reasons.go").read_text()
    return dict(re.findall(r'^\t(\w+) +Reason = "([\w-]+)"', text, re.MULTILINE))


def fail(path: str, stage: str, reason: str, **evidence: str) -> PathResult:
    relay = evidence.pop("turn_url", None)
    return PathResult(path, False, stage, "what was seen", reason=reason, evidence=evidence, relay=relay)


def find(result: PathResult, hub: CalledHub = OWN) -> Finding:
    [finding] = check_paths([result], hub)
    return finding


def say(finding: Finding) -> str:
    """All that a person reads of it."""
    fixes = (" ".join(filter(None, (fix.text, fix.command))) for fix in finding.fix)
    return " | ".join((finding.title, finding.detail, finding.cause, *fixes))


def test_every_reason_of_the_probe_has_causes_of_its_own() -> None:
    not_of_the_probe = {"another-page", "part-missing", "not-promised"}
    assert read_reasons() == {*TABLES, *WITHOUT_CAUSE} - not_of_the_probe


def test_every_reason_of_the_probe_is_found_by_it() -> None:
    files = [file for file in PROBE.glob("*.go") if not file.name.endswith(("_test.go", "reasons.go"))]
    words = set(re.findall(r"\w+", "".join(file.read_text() for file in files)))
    assert name_reasons().keys() - words == set()


@pytest.mark.parametrize("hub", [OWN, PROXIED, SOMEBODYS, GIVEN], ids=["own", "proxied", "somebodys", "given"])
@pytest.mark.parametrize("reason", sorted(TABLES.keys() - {"too-lossy"}))
def test_every_cause_is_said_whole(reason: str, hub: CalledHub) -> None:
    """Nothing is left open that the evidence fills, and every cause has a way out."""
    text = say(find(fail("udp", "http", reason), hub))
    assert not re.search(r"None|\{|\}|  |: :|\(\)", text.replace("{version: 2}", "")), text
    assert find(fail("udp", "http", reason), hub).fix or reason == "not-accepted", text


@pytest.mark.parametrize("reason", ["tls-silent", "tls-closed", "tls-alert"])
def test_hub_without_a_certificate_is_why_no_path_works(reason: str) -> None:
    """Not what listens at its port, nor the name that it was called by."""
    record = {"reach": "lan", "tls": "tailscale", "front": {"name": "hub.tail1234.ts.net"}}
    failure = {"name": "hub.tail1234.ts.net", "issuer": "tailscale", "kind": "tailscale", "error": "its words"}
    hub = CalledHub.of(record, {"failures": [failure]})
    finding = find(fail("udp", "tls", reason), hub)
    assert finding.depends_on == ("certificate-fails",)
    assert finding.cause.endswith(
        "no certificate for hub.tail1234.ts.net, so that nobody can connect: certificate-fails says why"
    )
    assert finding.fix == ()
    pending = CalledHub.of(record, {"pending": ["hub.tail1234.ts.net"]})
    assert find(fail("udp", "tls", reason), pending).depends_on == ("certificate-pending",)
    assert (
        find(fail("udp", "tls", "expired"), hub).depends_on == find(fail("udp", "tcp", "refused"), hub).depends_on == ()
    )
    certified = CalledHub.of(record, {"failures": [{**failure, "name": "turn.example.com"}]})
    assert find(fail("udp", "tls", reason), certified).depends_on == ()


@pytest.mark.parametrize("reason", sorted(WITHOUT_CAUSE))
def test_what_has_no_cause_of_its_own_has_its_stages(reason: str) -> None:
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
@pytest.mark.parametrize("hub", [SOMEBODYS, GIVEN], ids=["key", "given"])
def test_causes_of_one_stage_differ(stage: str, reasons: list[str], hub: CalledHub) -> None:
    found = [find(fail("udp", stage, reason), hub) for reason in reasons]
    assert len({finding.cause for finding in found}) == len(reasons)


def test_a_range_of_ports_may_be_used_up() -> None:
    """With one port for all calls it can't be, and of other paths and other machines the range says nothing."""
    ranged = replace(OWN, ports={**OWN.ports, "udp": "50000-50099/udp"})
    text = say(find(fail("udp", "join", "not-offered"), ranged))
    assert "all of 50000-50099 may be taken" in text
    assert "ss -lun 'sport >= :50000 and sport <= :50099'" in text
    for path, hub in (("udp", OWN), ("tcp", ranged), ("udp", replace(ranged, reach=""))):
        assert "taken" not in say(find(fail(path, "join", "not-offered"), hub))


# --- a proxy in front


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
        (fail("udp", "token", "unknown-key", key="API1"), ["another LiveKit than this hub", "127.0.0.1:7883"]),
        (fail("udp", "token", "no-grant"), ["Authorization"]),
    ],
)
def test_behind_a_proxy_its_line_and_the_hubs_door_are_named(result: PathResult, named: list[str]) -> None:
    text = say(find(result, PROXIED))
    assert [name for name in named if name not in text] == [], text
    assert "status` shows" not in text, "the address is the right one"


@pytest.mark.parametrize("reason", sorted(causes_http.CAUSES))
def test_of_somebody_elses_proxy_no_door_is_known(reason: str) -> None:
    assert "None" not in say(find(fail("udp", "http", reason), SOMEBODYS))


def test_turn_that_a_proxy_hands_on_without_saying_where_clients_are() -> None:
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
    # Where nothing listens there is nothing to open.
    assert ("lkhub firewall status" in text) is (reason == "silent")
    split = {"refused": "pass TLS for turn.example.com on to 127.0.0.1:5349", "silent": "on the proxy's machine"}
    assert split[reason] in say(find(result, PROXIED))


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
    """As where a rule drops what comes over loopback, too. Which rule it is, port-closed says."""
    results = [connect("udp"), connect("turn-udp")]
    [finding] = check_paths(results, replace(OWN, closed=("7882/udp", "3478/udp")))
    assert (finding.depends_on, finding.fix) == (("port-closed",), ())
    assert "this machine's own firewall closes 7882/udp: port-closed says" in finding.cause
    for hub in (replace(OWN, closed=("3478/udp",)), replace(SOMEBODYS, closed=("7882/udp",))):
        [finding] = check_paths(results, hub)
        assert finding.depends_on == ()
        assert finding.fix


def test_turn_server_that_refuses_to_relay_is_no_firewall() -> None:
    finding = find(fail("turn-udp", "connect", "turn-forbids", remote="udp 10.0.0.5:7882"), SOMEBODYS)
    assert "udp 10.0.0.5:7882" in finding.cause
    assert "turn.allow_restricted_peer_cidrs" in say(finding)
    assert "firewall" not in say(finding)


def test_relay_of_ones_own_that_gives_no_address_may_have_too_few_ports() -> None:
    """As with turn.relay: 30000-30003. No coturn is there to be asked."""
    for path, log in (("turn-udp", "lkhub logs relay"), ("turn-tls", "lkhub logs edge")):
        said = say(find(fail(path, "gather", "turn-refused")))
        assert "turn.relay" in said
        assert log in said
        assert "coturn" not in said
    others = replace(OWN, others=("turn.example.com:443",))
    assert "coturn" in say(find(fail("turn-tls", "gather", "turn-refused", relay="turns:turn.example.com:443"), others))


def test_no_udp_at_all_names_both_ports() -> None:
    silent = fail("turn-udp", "gather", "turn-silent", relay="turn:198.18.0.1:3478?transport=udp")
    for hub in (OWN, SOMEBODYS):
        [finding] = check_paths([connect("udp"), silent], hub)
        assert "7882/udp" in say(finding), hub
    assert "7882/udp and 3478/udp" in say(finding) or hub is SOMEBODYS


def codes(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_untried_paths_say_why_once() -> None:
    single = PathResult("udp", None, "dtls", "needs a second token", reason="needs-subscriber")
    found = list(check_paths([single, replace(single, path="tcp")]))
    assert codes(found) == ["path-not-tried", "path-not-tried"]
    assert "single token" in found[0].cause


# --- evidence decides, and what it leaves open is said


@pytest.mark.parametrize(("sent", "is_open"), [("1", True), ("2", False)])
def test_chain_of_one_certificate_leaves_two_causes(sent: str, is_open: bool) -> None:
    result = fail("udp", "tls", "unknown-issuer", issuer="Hub CA", sent=sent)
    for hub in (replace(OWN, tls="files"), PROXIED, SOMEBODYS):
        finding = find(result, hub)
        assert finding.cause.startswith("not decided") is is_open
        text = say(finding)
        assert all(name in text for name in ("update-ca-certificates", "SSL_CERT_FILE", "Hub CA"))
        assert ("fullchain.pem" in text) is is_open
        assert "ws://" not in text


@pytest.mark.parametrize("hub", [OWN, SOMEBODYS])
def test_token_that_was_made_just_now_has_not_expired_by_itself(hub: CalledHub) -> None:
    text = say(find(fail("udp", "token", "token-expired"), hub))
    assert "clock" in text
    # A hub and its own verification have one clock.
    assert ("clocks of this machine and the server differ" in text) is (hub is SOMEBODYS)
    assert "clocks" not in find(fail("udp", "token", "token-expired"), GIVEN).cause


@pytest.mark.parametrize(("reason", "said"), [("unknown-key", "API1"), ("bad-signature", "secret")])
def test_another_servers_key_leads_to_the_hubs(reason: str, said: str) -> None:
    finding = find(fail("udp", "token", reason, key="API1"), SOMEBODYS)
    assert said in finding.cause
    assert [fix.command for fix in finding.fix] == ["lkhub env"]


def test_way_that_the_server_alone_could_open_names_the_port_and_the_firewall() -> None:
    """A firewall that knows connections lets in whom the server has sent to; a client behind a NAT can't be sent to."""
    [finding] = check_paths([server_first("udp"), fail("turn-udp", "gather", "turn-silent", relay="turn:h:3478")], OWN)
    assert "7882/udp" in finding.cause
    assert "behind a NAT" in finding.cause
    assert [fix.command for fix in finding.fix][:2] == ["lkhub firewall status", "lkhub firewall apply"]


def test_signalling_that_is_silent_is_not_a_path_that_is_not_offered() -> None:
    finding = find(fail("tcp", "join", "signal-silent"), SOMEBODYS)
    assert "not decided" in finding.cause
    assert "offer" not in say(finding)
    assert "media.tcp" not in say(finding)


@pytest.mark.parametrize("hub", [OWN, SOMEBODYS, PROXIED])
def test_signalling_that_answers_now_and_then_is_no_server_that_hangs(hub: CalledHub) -> None:
    """A line that loses a third of all packets: each path is stopped where its packets were lost."""
    silent = [fail("tcp", "http", "http-silent"), fail("turn-udp", "join", "signal-silent")]
    silent.append(fail("turn-tls", "tls", "tls-silent", address="198.18.0.1:443"))
    works = PathResult("udp", True, "media", "")
    [finding] = check_paths([works, *silent], hub)
    assert "the paths tcp, turn-udp and turn-tls" in finding.title
    assert "the signalling answered at the same time on another path: not decided: the line loses" in finding.cause
    assert "speaks no TLS" not in say(finding)
    [finding] = check_paths(silent, hub)
    assert "on another path" not in finding.cause


def test_proxy_on_another_machine_can_not_reach_a_door_on_loopback() -> None:
    result = fail("udp", "http", "gateway", status="502")
    assert "tls.trusted_proxies" in say(find(result, PROXIED))
    assert "tls.trusted_proxies" not in say(find(result, replace(PROXIED, door="192.168.1.5:7883")))


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
def test_address_that_a_strange_server_tells_clients_is_doubted_first(
    path: str, stage: str, reason: str, is_told: bool
) -> None:
    """One's own hub sees to its address itself."""
    assert ("rtc.node_ip" in find(fail(path, stage, reason), SOMEBODYS).fix[0].text) is is_told
    assert "rtc.node_ip" not in say(find(fail(path, stage, reason), OWN))


@pytest.mark.parametrize("path", get_args(ProbePath))
@pytest.mark.parametrize("hub", [OWN, PROXIED])
def test_key_that_is_named_is_one_that_the_spec_has(path: ProbePath, hub: CalledHub) -> None:
    text = say(find(fail(path, "join", "not-offered"), hub))
    [named] = re.findall(r"whether (\w+\.\w+)", text)
    part, _, name = named.partition(".")
    assert load_spec(f"{part}: {{{name}: 9000}}".encode()).faults == []


# --- what a line does to packets


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


def test_what_got_no_answer_on_a_line_that_loses_much_is_blamed_on_the_line() -> None:
    silent = fail("tcp", "join", "signal-silent")
    lossy, failed = check_paths([lose("udp", 0.33), silent], SOMEBODYS)
    assert (lossy.code, failed.code, failed.depends_on) == ("path-lossy", "path-fails", ("path-lossy",))
    assert "33%" in failed.cause
    assert "not decided" not in failed.cause
    [alone] = check_paths([silent], SOMEBODYS)
    assert alone.depends_on == ()
    _, refused = check_paths([lose("udp", 0.33), fail("tcp", "tcp", "refused")], SOMEBODYS)
    assert refused.depends_on == (), "a refusal is an answer"


def test_proxy_that_was_seen_to_hide_clients_is_named() -> None:
    now = datetime(2026, 11, 28, 0, 0, tzinfo=UTC)
    edge = {"unannounced": {"proxy": "127.0.0.1", "at": "2026-11-27T23:59:30Z", "count": 2}}
    assert CalledHub.of({}, edge, now).unannounced == "127.0.0.1"
    assert CalledHub.of({}, edge, now + timedelta(hours=1)).unannounced == ""
    assert CalledHub.of({}, {"unannounced": None}, now).unannounced == ""
    result = fail("turn-tls", "tls", "tls-closed", turn_url="turns:turn.example.com:443?transport=tcp")
    finding = find(result, replace(PROXIED, unannounced="127.0.0.1"))
    assert "not decided" not in finding.cause
    assert "the proxy at 127.0.0.1 leads turn.example.com to 127.0.0.1:5349 without the PROXY protocol" in finding.cause
    assert "proxy_protocol on;" in finding.fix[0].text


# --- what works


def test_path_that_works_is_no_finding() -> None:
    assert list(check_paths([PathResult("udp", True, "media", "")])) == []


def test_what_is_known_of_a_hub_is_what_is_in_force() -> None:
    record = {"reach": "lan", "tls": "external", "ports": {"udp": "7882/udp"}, "front": {"name": "a", "door": "b:1"}}
    assert CalledHub.of(record) == CalledHub("lan", "external", "a", "b:1", ports={"udp": "7882/udp"})
    assert CalledHub.of(None) == CalledHub.of({}) == SOMEBODYS
    assert not SOMEBODYS.is_own


@pytest.mark.parametrize(
    ("ok", "native", "code"),
    [
        (True, True, None),
        (True, None, None),
        (True, False, "native-refuses"),
        # A path that does not work has one cause, and this is not it.
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
def test_on_a_network_of_ones_own_that_chain_is_no_more_than_worth_knowing(reach: str, severity: str) -> None:
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


def test_path_that_fails_has_a_cause_before_the_address_it_took() -> None:
    result = PathResult("udp", False, "media", UNTOLD, evidence={"untold": "udp 203.0.113.5:7882"})
    assert [finding.code for finding in check_paths([result])] == ["path-fails"]


@pytest.mark.parametrize(
    ("relay", "of_others"),
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
def test_turn_server_of_others_is_known_by_where_it_is(relay: str | None, of_others: bool) -> None:
    record = {"reach": "lan", "turn_of_others": ["192.0.2.7:3479", "turn.example.com:443", "[2001:db8::1]:5350"]}
    hub = CalledHub.of(record)
    assert hub.is_of_others(PathResult("turn-udp", False, "gather", "", relay=relay)) is of_others
    in_evidence = PathResult("turn-udp", False, "gather", "", evidence={"relay": relay} if relay else {})
    assert hub.is_of_others(in_evidence) is of_others
    assert not CalledHub.of({"reach": "lan"}).is_of_others(in_evidence), "a record of an older version"
