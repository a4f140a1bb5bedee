import json
import os
import re
import time
from pathlib import Path

import pytest

from lkhub.checks.paths import PathResult
from lkhub.cli import status as status_module
from lkhub.host.processes import identify
from lkhub.hub.status import HubStatus, Verified
from lkhub.plan.model import Sighting
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.state.identity import Identity
from tests.cli.conftest import Run
from tests.reports import hub_report


def leave_running(paths: StatePaths, name: str = "media") -> None:
    """The record of a process that runs (this one) without a supervisor."""
    me = identify(os.getpid())
    assert me is not None
    plan = ProcessPlan(name, ("x", paths.render("livekit.yaml")), carries_calls=True)
    Path(paths.record(name)).write_text(
        Identity(me, paths.root, plan, Fingerprint("program", "files"), time.time() - 3700).dump()
    )


def test_hub_that_never_was_is_stopped(run: Run, paths: StatePaths) -> None:
    done = run("status")
    assert (done.code, done.out) == (1, "hub is stopped\n")
    assert "no hub is known here [no-hub-here]" in done.err
    assert f"{paths.root} does not exist" in done.err
    shown = run("status", "--json").json
    assert shown["hub"]["state"] == "stopped"
    assert [(finding["code"], finding["severity"]) for finding in shown["findings"]] == [("no-hub-here", "info")]
    assert not os.path.exists(paths.root), "asking changes nothing"


def test_folder_without_a_hub_is_told_from_a_hub_that_is_stopped(run: Run, paths: StatePaths) -> None:
    Path(paths.root).mkdir()
    assert f"{paths.root} has no record of a hub that can be read" in run("status").err


def test_stopped_hub_keeps_its_name_and_addresses(run: Run, applied: StatePaths) -> None:
    done = run("status", "--json")
    assert done.code == 1
    assert done.json["hub"]["name"] == "hub"
    assert done.json["urls"]["livekit"] == "ws://127.0.0.1:7880"
    assert done.json["findings"] == []


def test_addresses_of_web_sites_are_shown(run: Run, applied: StatePaths) -> None:
    record = json.loads(Path(applied.applied).read_text())
    addresses = ["https://page.example.com", "https://rtc.example.com:3001"]
    Path(applied.applied).write_text(json.dumps({**record, "sites": {"page": addresses}}))
    assert " ".join(run("status").out.split()).count(f"site page {', '.join(addresses)}") == 1
    assert run("status", "--json").json["sites"] == {"page": addresses}


def test_processes_without_a_supervisor_are_a_finding(run: Run, applied: StatePaths) -> None:
    leave_running(applied)
    done = run("status")
    assert done.code == 1
    assert "hub is unsupervised" in done.out
    assert re.search(rf"running \(pid {os.getpid()}, .*1 h", done.out)
    assert "[no-supervisor]" in done.err
    assert "`lkhub up`" in done.err
    found = run("status", "--json").json
    assert [process["name"] for process in found["processes"]] == ["media"]
    assert [finding["code"] for finding in found["findings"]] == ["no-supervisor"]


def test_commands_of_findings_are_about_the_hub_that_was_asked_for(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leave_running(applied)
    monkeypatch.setenv("LKHUB_STATE", str(tmp_path / "other"))
    said = " ".join(run("status", "--state", applied.root).err.split())
    assert f"lkhub up --state {applied.root}" in said
    assert "`lkhub up`" not in said
    [finding] = run("status", "--json", "--state", applied.root).json["findings"]
    assert all(fix["command"].endswith(f" --state {applied.root}") for fix in finding["fix"] if "command" in fix)


def test_json_is_all_that_is_on_stdout(run: Run, applied: StatePaths) -> None:
    leave_running(applied)
    done = run("status", "--json")
    json.loads(done.out)
    assert done.err == ""


@pytest.mark.parametrize("record", [b"", b"{", b"{}", b"[]", b"\xff"], ids=repr)
@pytest.mark.parametrize("file", ["verified", "record"])
def test_damaged_record_hides_nothing_else(run: Run, applied: StatePaths, file: str, record: bytes) -> None:
    path = applied.verified if file == "verified" else applied.record("media")
    Path(path).write_bytes(record)
    done = run("status")
    assert (done.code, done.out.splitlines()[0]) == (1, "hub is stopped")


def test_people_read_what_was_proved(capsys: pytest.CaptureFixture[str]) -> None:
    from lkhub.cli.status import show_status

    now = time.time()
    media = {"name": "media", "pid": 7, "state": "running", "since": now - 120, "restarts": 2}
    processes = [{**media, "roles": ["carries-calls"]}]
    supervisor = {"processes": processes, "failures": {}, "pending": True, "spec": None, "pid": 1}
    results = (
        PathResult("udp", True, "media", "", 12.3, 0.42, 0.0, "a", "udp host 127.0.0.1:7882"),
        PathResult("turn-udp", False, "connect", "timed out"),
    )
    outside = {"udp": Sighting(now - 30, "203.0.113.7"), "turn-udp": None}
    show_status(HubStatus(None, hub_report(supervisor), (), Verified(now - 60, results), outside=outside))
    shown = capsys.readouterr()
    assert "hub is running" in shown.out
    assert re.search(r"running \(pid 7, .*2 min.*, 2 restarts\)", shown.out)
    assert "verified 1 min ago" in shown.out
    assert "connected in 12 ms, round trip 0.4 ms, loss 0%, to udp host 127.0.0.1:7882; outside: 30 s ago" in shown.out
    assert "FAILS" in shown.out
    assert "at stage connect: timed out; outside: not seen\n" in shown.out
    assert "outside: this machine's own calls never meet the firewall" in shown.err
    assert "[path-fails]" in shown.err
    assert "[change-pending]" in shown.err


def test_status_shows_a_client_for_which_the_hub_may_have_opened_a_firewall(capsys: pytest.CaptureFixture[str]) -> None:
    from lkhub.cli.shared.show import show_paths, show_unseen

    results = tuple(PathResult(path, True, "media", "") for path in ("udp", "tcp"))
    doubted = Sighting(time.time() - 30, "203.0.113.7", proven=False)
    verified = Verified(1.0, results, {"udp": doubted, "tcp": Sighting(time.time() - 60, "203.0.113.8")})
    show_paths(verified)
    show_unseen(verified, "wss://rtc.example.com")
    shown = capsys.readouterr()
    assert re.search(r"udp +ok +; outside: not proven, used 30 s ago from 203\.0\.113\.7\n", shown.out)
    assert re.search(r"tcp +ok +; outside: 1 min ago from 203\.0\.113\.8\n", shown.out)
    assert "outside: the hub's packets to the last client on udp were faster than the client's own" in shown.err
    assert "`lkhub verify --url wss://rtc.example.com` on another machine" in shown.err
    assert "never meet" not in shown.err, "no path is without a use"


@pytest.mark.parametrize(("results", "code"), [([True, True], 0), ([True, False], 1), ([], 0)])
def test_running_hub_is_well_unless_a_finding_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, results: list[bool], code: int
) -> None:
    media = {"name": "media", "pid": 7, "state": "running", "since": time.time(), "restarts": 0}
    processes = [{**media, "roles": ["carries-calls"]}]
    supervisor = {"processes": processes, "failures": {}, "pending": False, "spec": None, "pid": 1}
    paths = tuple(PathResult("udp", ok, "connect", "") for ok in results)
    hub = HubStatus(None, hub_report(supervisor), (), Verified(time.time(), paths) if paths else None)
    monkeypatch.setattr(status_module, "read_status", lambda _: hub)
    done = run("status")
    assert (done.code, done.out.splitlines()[0]) == (code, "hub is running")


def test_process_whose_work_is_done_is_not_said_to_be_stopped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    build = {"name": "site-web", "pid": None, "state": "stopped", "since": time.time(), "restarts": 0, "done": True}
    media = {**build, "name": "media", "pid": 7, "state": "running", "done": False}
    supervisor = {"processes": [media, build], "failures": {}, "pending": False, "spec": None, "pid": 1}
    monkeypatch.setattr(status_module, "read_status", lambda _: HubStatus(None, hub_report(supervisor), (), None))
    assert re.search(r"site-web +done \(for ", run("status").out)
    rows = {row["name"]: row for row in run("status", "--json").json["processes"]}
    assert (rows["site-web"]["state"], rows["site-web"]["done"]) == ("stopped", True)
    assert "done" not in rows["media"]
