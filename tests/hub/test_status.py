import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lkhub.checks.paths import PathResult
from lkhub.hub.status import HubStatus, Verified
from lkhub.plan.build import build_plan
from lkhub.plan.model import Sighting
from lkhub.source.typed import pack
from lkhub.spec.load import load_spec
from lkhub.state.applied import Endpoints
from lkhub.wire.control import HubReport, ProcessReport
from tests.machines import make_facts, make_installation
from tests.reports import applied_record, hub_report

APPLIED = applied_record(
    spec="/etc/lkhub/hub.yaml",
    at=100.0,
    urls={"livekit": "ws://127.0.0.1:7880", "web": "http://127.0.0.1:8080", "api": "http://127.0.0.1:8080/api"},
)
GOOD = Verified(at=200.0, paths=(PathResult("udp", True, "media", "", rtt_ms=0.4),))


def process(name: str = "media", state: str = "running", since: float = 150.0) -> ProcessReport:
    roles = {"media": ("carries-calls", "knows-participants"), "relay": ("carries-calls",), "edge": ("carries-calls",)}
    return ProcessReport(name, 1, state, since, roles=roles.get(name, ()))


def supervised(*processes: ProcessReport, pending: bool = False, **said: Any) -> HubReport:
    return msgspec.structs.replace(hub_report({"pending": pending, **said}), processes=processes)


def test_hub_that_never_ran_is_stopped() -> None:
    status = HubStatus(None, None, (), None)
    assert status.state == "stopped"
    assert status.find() == ()
    shown = json.loads(json.dumps(status.as_json()))
    assert set(shown) == {"hub", "urls", "processes", "verified", "findings"}
    assert shown["urls"] == {"livekit": None, "web": None, "api": None}
    assert shown["verified"] is None


@pytest.mark.parametrize(
    ("supervisor", "left", "told"),
    [(None, (), True), (supervised(process()), (), False), (None, (process(),), False)],
    ids=["stopped", "running", "without a supervisor"],
)
def test_without_a_hub_commands_say_that_none_is_known(supervisor: Any, left: Any, told: bool) -> None:
    """A running hub is known, even where its record was lost with its state directory."""
    codes = [finding.code for finding in HubStatus(None, supervisor, left, None, unknown="/s does not exist").find()]
    assert ("no-hub-here" in codes) == told


def test_running_hub_shows_the_contract() -> None:
    shown: Any = HubStatus(APPLIED, supervised(process(), process("serve")), (), GOOD).as_json()
    assert shown["hub"]["state"] == "running"
    assert set(shown["hub"]) == {"name", "version", "state", "spec"}
    assert set(shown["urls"]) == {"livekit", "web", "api"}
    assert [set(row) for row in shown["processes"]] == [{"name", "pid", "state", "since", "restarts"}] * 2
    assert shown["verified"]["at"] == 200.0
    assert shown["verified"]["paths"][0]["path"] == "udp"
    assert shown["findings"] == []


@pytest.mark.parametrize("state", ["starting", "backoff", "stopping", "stopped", "failed"])
def test_hub_with_a_process_that_does_not_run_is_degraded(state: str) -> None:
    assert HubStatus(APPLIED, supervised(process(), process("serve", state)), (), None).state == "degraded"


def test_supervisor_without_processes_is_not_a_running_hub() -> None:
    assert HubStatus(APPLIED, supervised(), (), None).state != "running"


def test_processes_that_were_left_are_unsupervised_and_a_finding() -> None:
    status = HubStatus(APPLIED, None, (process(),), GOOD)
    assert status.state == "unsupervised"
    assert [finding.code for finding in status.find()] == ["no-supervisor"]
    assert status.as_json()["processes"] == [
        {"name": "media", "pid": 1, "state": "running", "since": 150.0, "restarts": 0}
    ]


@pytest.mark.parametrize(
    ("processes", "counts"),
    [
        ([process(since=150)], True),
        ([process(since=250)], False),
        ([process(since=150), process("relay", since=250)], False),
        ([process(since=150), process("serve", since=250)], True),
        ([process("serve", since=150)], False),
        ([], False),
    ],
)
def test_verification_counts_for_the_processes_that_carried_it(processes: list[ProcessReport], counts: bool) -> None:
    status = HubStatus(APPLIED, supervised(*processes), (), GOOD)
    assert (status.current_verification is not None) is counts
    assert (status.as_json()["verified"] is not None) is counts


def test_use_from_outside_is_what_is_known_now_and_not_what_was_kept_with_the_verification() -> None:
    at_the_time = dict.fromkeys("abc", Sighting(199.0, "198.51.100.1"))
    kept = Verified(200.0, tuple(PathResult(path, True, "media", "") for path in "abc"), at_the_time)
    status = HubStatus(
        APPLIED, supervised(process()), (), kept, outside={"a": Sighting(300.5, "2001:db8::7"), "b": None}
    )
    shown = json.loads(json.dumps(status.as_json()))["verified"]
    assert [path["outside"] for path in shown["paths"]] == [{"at": 300.5, "address": "2001:db8::7"}, None, None]
    assert [path["outside_unproven"] for path in shown["paths"]] == [None, None, None]


def test_use_that_the_hub_may_have_made_possible_is_reported_separately() -> None:
    outside = {"udp": Sighting(300.5, "2001:db8::7", proven=False), "tcp": Sighting(300.5, "2001:db8::7")}
    verified = Verified(200.0, tuple(PathResult(path, True, "media", "") for path in outside), outside)
    told: Any = verified.as_json()
    udp, tcp = told["paths"]
    use = {"at": 300.5, "address": "2001:db8::7"}
    assert (udp["outside"], udp["outside_unproven"]) == (None, use)
    assert (tcp["outside"], tcp["outside_unproven"]) == (use, None)


def test_findings_come_from_everything_that_is_known() -> None:
    failed = Verified(at=200.0, paths=(PathResult("udp", False, "connect", "timeout"),))
    status = HubStatus(APPLIED, supervised(process(), process("serve", "backoff"), pending=True), (), failed)
    assert {finding.code for finding in status.find()} == {"process-fails", "path-fails", "change-pending"}


def test_stale_verification_is_no_finding() -> None:
    failed = Verified(at=100.0, paths=(PathResult("udp", False, "connect", "timeout"),))
    assert HubStatus(APPLIED, supervised(process(since=150)), (), failed).find() == ()


def test_verification_is_read_as_it_was_written() -> None:
    whole = PathResult(
        *("turn-tls", None, "gather", "…", 1.5, 0.1, 0.25, "udp host 1:1", "udp host 2:2", "turns:x", False)
    )
    for verified in (GOOD, Verified(at=1.5, paths=(whole,)), Verified(at=0, paths=())):
        assert Verified.of(verified.as_record()) == verified
    seen = replace(GOOD, outside={"udp": Sighting(1.5, "203.0.113.9")})
    assert Verified.of(seen.as_record()) == GOOD, "that has a record of its own"


def test_address_that_moved_is_reported_and_the_change_pending_for_it_is_not() -> None:
    """One cause, one finding."""
    supervisor = supervised(process(), pending=True, moved="clients are told a, and this machine is at b")
    assert [finding.code for finding in HubStatus(APPLIED, supervisor, (), GOOD).find()] == ["address-changed"]
    assert [finding.code for finding in HubStatus(APPLIED, supervised(process(), pending=True), (), GOOD).find()] == [
        "change-pending"
    ]


def test_spec_that_was_edited_is_a_finding_with_its_command() -> None:
    supervisor = supervised(process(), spec="/srv/my hub.yaml")
    assert HubStatus(APPLIED, supervisor, (), GOOD).find() == ()
    (finding,) = HubStatus(APPLIED, supervisor, (), GOOD, edited=True).find()
    assert (finding.code, finding.severity) == ("spec-not-applied", "info")
    assert finding.fix[0].command == "lkhub up --spec '/srv/my hub.yaml'"


@pytest.mark.parametrize("edge", [None, {}, {"failures": [], "certificates": []}])
def test_edge_that_does_not_answer_or_is_well_is_no_finding(edge: Any) -> None:
    assert HubStatus(APPLIED, supervised(process(), edge=edge), (), GOOD).find() == ()


def test_calls_that_failed_for_want_of_a_certificate_say_nothing_of_a_hub_that_has_one() -> None:
    applied = replace(APPLIED, tls="tailscale", endpoints=Endpoints("hub.tail1234.ts.net"))
    failed = PathResult("udp", False, "tls", "refused the TLS handshake", reason="tls-alert")
    verified = Verified(200.0, (failed,), uncertified=True)

    def look(edge: dict[str, Any], verified: Verified = verified) -> HubStatus:
        return HubStatus(applied, supervised(process(), edge=edge), (), verified)

    waiting = look({"pending": ["hub.tail1234.ts.net"]})
    assert [finding.code for finding in waiting.find()] == ["certificate-pending", "path-fails"]
    until = "2099-01-01T00:00:00Z"
    there = {"certificates": [{"names": ["hub.tail1234.ts.net"], "issuer": "CN=E8", "not_after": until}]}
    assert look(there).find() == ()
    assert look(there).as_json()["verified"] is None
    assert [finding.code for finding in look(there, replace(verified, uncertified=False)).find()] == ["path-fails"]


def test_faults_that_the_edge_reports_are_among_the_findings() -> None:
    failures = [{"name": "rtc.example.com", "issuer": "a", "kind": "dns", "error": "no address"}]
    supervisor = supervised(process(), edge={"failures": failures, "certificates": []})
    assert [finding.code for finding in HubStatus(APPLIED, supervisor, (), GOOD).find()] == ["certificate-fails"]


def test_notes_of_the_plan_in_force_are_shown_as_long_as_the_hub_runs() -> None:
    """`lkhub up` prints them once. They do not make the hub count as degraded."""
    plan = build_plan(load_spec(b"reach: lan\ntls: {mode: off}"), make_facts(), make_installation())
    assert plan
    applied = replace(APPLIED, findings=tuple(json.loads(json.dumps(pack(finding))) for finding in plan.findings))
    status = HubStatus(applied, supervised(process()), (), None)
    assert status.find() == plan.findings
    assert {finding.code for finding in plan.findings} == {"address-chosen", "address-passed-over", "no-tls"}
    assert status.state == "running"
    assert "error" not in {finding.severity for finding in status.find()}
    assert HubStatus(applied, None, (), None).find() == (), "nothing is chosen where nothing runs"
    strange = replace(applied, findings=({"code": 1},))
    assert HubStatus(strange, supervised(process()), (), None).find() == ()


def test_process_that_has_ended_without_a_supervisor_is_explained_by_that() -> None:
    failed = replace(GOOD, paths=(PathResult("turn-udp", False, "gather", "no answer", reason="turn-silent"),))
    status = HubStatus(APPLIED, None, (process(),), failed, ended=("relay",))
    missing, path = status.find()
    assert (missing.code, path.code, path.depends_on) == ("no-supervisor", "path-fails", (missing.ref,))
    [_, path] = replace(status, ended=()).find()
    assert path.depends_on == (), "the relay runs"


def test_processes_that_are_down_are_the_causes_of_what_fails_without_them() -> None:
    failed = replace(GOOD, paths=(PathResult("udp", False, "http", "HTTP 502", reason="hub-media-down"),))
    applied = replace(APPLIED, reach="lan", tls="internal")
    status = HubStatus(applied, supervised(process(state="backoff"), process("edge")), (), failed)
    media, path = status.find()
    assert (media.code, path.code, path.depends_on) == ("process-fails", "path-fails", (media.ref,))
    shown: Any = status.as_json()
    assert shown["findings"][1]["depends_on"] == ["process-fails"]


@pytest.mark.parametrize(("silent", "causes"), [(199.0, ["process-hangs"]), (201.0, [])])
def test_process_explains_calls_only_if_it_hung_before_them(silent: float, causes: list[str]) -> None:
    failed = replace(GOOD, paths=(PathResult("udp", False, "http", "no answer", reason="http-silent"),))
    told = supervised(process(), hangs={"media": "it is stopped"}, silent={"media": silent})
    status = HubStatus(replace(APPLIED, tls="off", reach="local"), told, (), failed)
    [path] = [finding for finding in status.find() if finding.code == "path-fails"]
    assert [ref.code for ref in path.depends_on] == causes
