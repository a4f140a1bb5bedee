from typing import Any, get_args

import pytest

from lkhub.health.checks import CalledHub, check_address, check_paths, check_pending, check_processes, check_supervised
from lkhub.health.paths import PathResult
from lkhub.plan.model import ProbePath
from lkhub.spec.load import load_spec

# The order of the probe (engine contract); each has a cause of its own.
STAGES = ("dns", "tcp", "tls", "http", "token", "join", "gather", "connect", "dtls", "media")


def test_path_that_works_is_no_finding() -> None:
    assert list(check_paths([PathResult("udp", True, "media", "")])) == []


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
    result = PathResult("udp", True, "media", f"20 of 20 packets; media came from {UNTOLD}")
    [finding] = check_paths([result])
    assert (finding.code, finding.subject, finding.severity) == ("address-not-told", "udp", "warning")
    assert finding.detail == result.detail
    assert "NAT" in finding.title
    assert all(key in finding.fix[0].text for key in ("media.advertise", "rtc.node_ip", "rtc.use_external_ip"))
    [own] = check_paths([result], CalledHub("public", "acme"))
    assert "media.advertise" in own.fix[0].text
    assert "rtc." not in own.fix[0].text, "the hub writes these itself"


def test_path_that_fails_has_a_cause_before_the_address_it_took() -> None:
    assert [finding.code for finding in check_paths([PathResult("udp", False, "media", UNTOLD)])] == ["path-fails"]


REFUSED = "the TURN server gave no relay address: it refuses the name and password that LiveKit gave out: (error 401)"


@pytest.mark.parametrize("path", ["turn-udp", "turn-tls"])
def test_turn_server_that_knows_another_secret_leads_to_the_secret(path: str) -> None:
    [finding] = check_paths([PathResult(path, False, "gather", REFUSED)])
    assert "turn.external" in finding.fix[0].text
    assert "credentials" in finding.cause
    [other] = check_paths([PathResult(path, False, "gather", "no answer from the TURN server")])
    assert "turn.external" not in other.fix[0].text


WEB_SERVER = "192.0.2.1:443 speaks HTTP, not TURN: clients are sent to a web server"


def test_web_server_where_turn_should_be_leads_to_a_name_for_turn() -> None:
    [finding] = check_paths([PathResult("turn-tls", False, "gather", WEB_SERVER)])
    assert "web server" in finding.cause
    assert "turn.domain" in finding.fix[0].text
    [other] = check_paths([PathResult("udp", False, "http", f"wss://rtc.example.com answers: {WEB_SERVER}")])
    assert "turn.domain" not in other.fix[0].text


@pytest.mark.parametrize(
    ("path", "stage", "is_told"),
    [
        ("udp", "connect", True),
        ("tcp", "connect", True),
        ("turn-udp", "gather", True),
        ("turn-tls", "connect", True),
        ("turn-tls", "gather", False),
        ("udp", "dtls", False),
        ("udp", "tcp", False),
    ],
)
def test_address_that_a_strange_server_tells_clients_is_doubted_first(path: str, stage: str, is_told: bool) -> None:
    """One's own hub sees to its address itself."""
    result = PathResult(path, False, stage, "")
    [finding] = check_paths([result])
    assert ("rtc.node_ip" in finding.fix[0].text) is is_told
    [own] = check_paths([result], CalledHub("lan", "internal"))
    assert not any("rtc.node_ip" in fix.text for fix in own.fix)


@pytest.mark.parametrize("stage", ["tcp", "connect"])
def test_behind_a_proxy_the_port_of_turn_over_tls_is_turn_listen(stage: str) -> None:
    result = PathResult("turn-tls", False, stage, "")
    [finding] = check_paths([result], CalledHub("public", "external"))
    assert "turn.listen" in finding.fix[0].text
    [finding] = check_paths([result], CalledHub("public", "acme"))
    assert "turn.listen" not in finding.fix[0].text


def test_what_is_known_of_a_hub_is_what_is_in_force() -> None:
    assert CalledHub.of({"reach": "lan", "tls": "internal", "name": "hub"}) == CalledHub("lan", "internal")
    assert CalledHub.of(None) == CalledHub.of({}) == CalledHub()


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_own_cause(stage: str) -> None:
    [finding] = check_paths([PathResult("udp", False, stage, "what the probe said")])
    assert (finding.code, finding.subject, finding.severity) == ("path-fails", "udp", "error")
    assert finding.detail == "what the probe said"
    assert finding.cause != "unknown"


def test_turn_server_that_gives_nothing_is_not_this_machine_without_an_address() -> None:
    causes = {next(check_paths([PathResult(path, False, "gather", "")])).cause for path in ("udp", "turn-udp")}
    assert len(causes) == 2


def test_causes_differ() -> None:
    causes = {next(iter(check_paths([PathResult("udp", False, stage, "")]))).cause for stage in STAGES}
    assert len(causes) == len(STAGES)


def test_unknown_stage_is_still_a_finding() -> None:
    [finding] = check_paths([PathResult("udp", False, "tomorrow", "")])
    assert finding.cause


@pytest.mark.parametrize("path", get_args(ProbePath))
def test_fix_of_a_path_names_a_key_that_the_spec_has(path: ProbePath) -> None:
    [finding] = check_paths([PathResult(path, False, "connect", "")], CalledHub("lan", "internal"))
    key = next(word for word in finding.fix[0].text.split() if "." in word)
    part, _, name = key.partition(".")
    assert load_spec(f"{part}: {{{name}: 9000}}".encode()).faults == []


def test_what_could_not_be_tried_is_a_warning_with_the_command_to_try_again() -> None:
    [finding] = check_paths([PathResult("turn-udp", None, "", "the probe ended without a word")])
    assert (finding.code, finding.severity) == ("path-not-tried", "warning")
    assert finding.fix[0].command == "lkhub verify --path turn-udp"


def test_each_path_is_a_finding_of_its_own() -> None:
    found = list(check_paths([PathResult("udp", False, "connect", ""), PathResult("tcp", False, "connect", "")]))
    assert [(finding.code, finding.subject) for finding in found] == [("path-fails", "udp"), ("path-fails", "tcp")]


@pytest.mark.parametrize("state", ["starting", "running", "stopping", "stopped"])
def test_process_that_is_on_its_way_is_no_finding(state: str) -> None:
    assert list(check_processes([{"name": "media", "state": state}], {"media": "old"})) == []


@pytest.mark.parametrize("state", ["backoff", "failed"])
def test_process_that_does_not_stay_up_shows_its_end(state: str) -> None:
    processes: list[dict[str, Any]] = [{"name": "media", "state": state}, {"name": "relay", "state": "running"}]
    [finding] = check_processes(processes, {"media": "exit code 1"})
    assert (finding.code, finding.subject, finding.detail) == ("process-fails", "media", "exit code 1")
    assert [fix.command for fix in finding.fix] == ["lkhub logs media", "lkhub restart media"]


def test_change_that_waits_names_the_command_that_does_not() -> None:
    assert list(check_pending(False)) == []
    [finding] = check_pending(True)
    assert finding.severity == "info"
    assert finding.fix[0].command == "lkhub up --now"


def test_address_that_moved_is_an_error_with_the_command_that_follows() -> None:
    assert list(check_address("")) == []
    [finding] = check_address("clients are told 192.168.1.5, and this machine is at 192.168.1.77")
    assert (finding.code, finding.subject, finding.severity) == ("address-changed", "media", "error")
    assert "192.168.1.77" in finding.detail
    assert finding.fix[0].command == "lkhub up --now"


def test_processes_without_a_supervisor_are_a_finding() -> None:
    assert list(check_supervised(True, ["media"])) == []
    assert list(check_supervised(False, [])) == []
    [finding] = check_supervised(False, ["media", "serve"])
    assert finding.severity == "error"
    assert "media, serve" in finding.detail
    assert finding.fix[0].command == "lkhub up"
