"""What `up` requests from a running supervisor, and how it handles the answers."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lkhub.checks.paths import PathResult
from lkhub.checks.surroundings import Surroundings
from lkhub.hub import apply, examine
from lkhub.hub.status import Verified
from lkhub.plan.paths import StatePaths
from lkhub.wire.application import Application, Store
from tests.cli.conftest import FakeSupervisor, Run, write_serve
from tests.reports import process_report


def answer(supervisor: FakeSupervisor, **applied: Any) -> None:
    supervisor.answers["apply"] |= applied


def test_up_on_a_running_hub_applies_its_spec_and_returns(run: Run, supervisor: FakeSupervisor, tmp_path: Path) -> None:
    Path("hub.yaml").write_text("web: 9000\n")
    done = run("up", "--no-verify")
    assert done.code == 0
    [request] = supervisor.requests("apply")
    assert request["spec"] == str(tmp_path / "here" / "hub.yaml")
    assert (request["now"], request["environ"]) == (False, {})
    assert "hub is up" in done.out


def test_hub_that_runs_and_whose_record_is_lost_is_not_said_to_be_down(
    run: Run, supervisor: FakeSupervisor, applied: StatePaths
) -> None:
    Path(applied.applied).unlink()
    answer(supervisor, changed=["media"], pending=True, people=2)
    done = run("up", "--no-verify")
    assert done.code == 3
    assert "pending: media would restart, and 2 people are in a call" in done.err
    assert "a hub runs here" in done.err
    assert "lkhub up --now" in done.err


def test_what_goes_on_with_an_earlier_program_is_no_change_that_waits(run: Run, supervisor: FakeSupervisor) -> None:
    answer(supervisor, changed=["media", "serve", "relay"], pending=True, people=2, beside=["media"], later=["relay"])
    said = run("up", "--no-verify").err
    assert "restarted serve\n" in said
    assert "the spec is in force; 2 people are in a call: relay can get the new program when they left, or" in said
    assert "a new media takes the calls that begin" in said


def test_up_sends_the_variables_that_the_spec_names_and_no_others(
    run: Run, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("hub.yaml").write_text("keys: {source: {env: [HUB_KEY, HUB_SECRET]}}\n")
    monkeypatch.setenv("HUB_KEY", "API")
    monkeypatch.setenv("HUB_SECRET", "s" * 40)
    run("up", "--no-verify")
    assert supervisor.requests("apply")[0]["environ"] == {"HUB_KEY": "API", "HUB_SECRET": "s" * 40}


def test_dev_has_a_spec_of_its_own(run: Run, supervisor: FakeSupervisor, applied: StatePaths) -> None:
    Path("hub.yaml").write_text("web: 9000\n")
    record = json.loads(Path(applied.applied).read_text())
    Path(applied.applied).write_text(json.dumps(record | {"spec": applied.dev_spec}))
    done = run("up", "--no-verify", "--dev")
    assert (done.code, "hub.yaml is not read; to use it with that key" in " ".join(done.err.split())) == (0, True)
    assert supervisor.requests("apply")[0]["spec"] == applied.dev_spec
    assert "source: dev" in Path(applied.dev_spec).read_text()


def test_dev_replaces_no_other_hub(run: Run, supervisor: FakeSupervisor, applied: StatePaths) -> None:
    done = run("up", "--no-verify", "--dev")
    assert done.code == 2
    assert "--dev would replace it" in done.err
    assert supervisor.requests("apply") == []
    assert not Path(applied.dev_spec).exists()


@pytest.mark.parametrize("spec", ["pipe", "/dev/stdin", "/dev/fd/{}", "/proc/self/fd/{}"])
def test_spec_that_no_other_command_can_read_is_refused(run: Run, spec: str) -> None:
    """Each that reads it again would wait for ever, or find another spec, which is mostly empty."""
    os.mkfifo("pipe")
    Path("other.yaml").write_text("name: other\n")
    with open("other.yaml") as file:
        named = spec.format(file.fileno())
        done = run("up", "--no-verify", "--spec", named)
    assert (done.code, done.out) == (2, "")
    assert f"{named} can be read by this command alone" in done.err


def test_dev_takes_no_spec(run: Run, supervisor: FakeSupervisor) -> None:
    Path("hub.yaml").write_text("web: 9000\n")
    done = run("up", "--dev", "--spec", "hub.yaml")
    assert done.code == 2
    assert "keys: {source: dev}" in done.err
    assert supervisor.requests("apply") == []


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ({"changed": ["serve"]}, "restarted serve\n"),
        (
            {"changed": ["media", "serve"], "cut": 1},
            "restarted media, serve; 1 person is in a call and had to reconnect",
        ),
        ({"changed": ["media"], "cut": 3}, "3 people are in a call and had to reconnect"),
        (
            {"changed": ["relay"], "cut": 2, "only_through": ["relay"]},
            "restarted relay; 2 people are in a call, and people who came through relay had to reconnect",
        ),
        (
            {"changed": ["relay", "serve", "edge"], "cut": 1, "only_through": ["relay", "edge"]},
            "; 1 person is in a call, and people who came through relay or edge had to reconnect",
        ),
        (
            {"changed": ["media"], "pending": True, "people": 2},
            "pending: media would restart, and 2 people are in a call",
        ),
        (
            {"changed": ["media"], "pending": True, "people": None},
            "whether people are in a call is not known: media does not say, or was restarted a moment ago; "
            "applied when it is known that nobody is, or with --now",
        ),
        ({"changed": ["media"], "beside": ["media"], "cut": 1}, "\n1 person is in a call and had to reconnect\n"),
        ({"changed": [], "reloaded": ["edge"]}, "edge took its change over without a restart\n"),
        ({"changed": ["serve"], "reloaded": ["edge"]}, "restarted serve\nedge took its change over"),
        ({"changed": ["agent-a"], "new": ["agent-a"]}, "\nstarted agent-a\n"),
        (
            {"changed": ["serve", "agent-a", "relay"], "new": ["agent-a"], "gone": ["relay"], "cut": 1},
            "restarted serve; started agent-a; ended relay; 1 person is in a call and had to reconnect",
        ),
        (
            {"changed": ["media", "relay"], "gone": ["relay"], "pending": True, "people": 2},
            "pending: media would restart, relay would end, and 2 people are in a call",
        ),
    ],
)
def test_up_says_what_it_did(run: Run, supervisor: FakeSupervisor, outcome: dict[str, Any], said: str) -> None:
    answer(supervisor, **outcome)
    done = run("up", "--no-verify", *(["--now"] if "cut" in outcome else []))
    assert done.code == 0
    assert said in done.err
    assert supervisor.requests("apply")[0]["now"] is ("cut" in outcome)


def test_pending_change_is_said_and_the_addresses_are_those_in_force(run: Run, supervisor: FakeSupervisor) -> None:
    Path("hub.yaml").write_text("media: {signal: 9000}\n")
    answer(supervisor, changed=["media"], pending=True, people=1)
    done = run("up", "--no-verify")
    assert "a change that waits" in done.out
    assert "ws://127.0.0.1:7880" in done.out
    assert "9000" not in done.out


POSTGRES = "postgresql://lkhub@db.example/lkhub"


@pytest.mark.parametrize(
    ("before", "made", "after", "left"),
    [
        ("", True, POSTGRES, "store.db"),
        ("", False, POSTGRES, ""),
        ("", True, "sqlite", ""),
        (POSTGRES, False, "sqlite", f"stay in {POSTGRES}"),
        (POSTGRES, False, POSTGRES.replace("db.", "other."), f"stay in {POSTGRES}"),
        (POSTGRES, False, POSTGRES, ""),
        # The same database, by another user and another way.
        (POSTGRES, False, f"{POSTGRES}?sslmode=require", ""),
        (POSTGRES, False, POSTGRES.replace("lkhub@db.example", "hub@DB.example:5432"), ""),
        (POSTGRES, False, "postgresql://lkhub@/lkhub?host=db.example", ""),
        (POSTGRES, False, f"{POSTGRES}?options=-c%20lock_timeout%3D1s", ""),
        # Another schema, or another server by an address or by libpq's file of services.
        (f"{POSTGRES}?options=-csearch_path%3Da", False, f"{POSTGRES}?options=-csearch_path%3Db", "search_path%3Da"),
        (POSTGRES, False, f"{POSTGRES}?options=-csearch_path%3Db", f"stay in {POSTGRES}"),
        ("postgresql:///lkhub?hostaddr=192.0.2.1", False, "postgresql:///lkhub?hostaddr=192.0.2.2", "192.0.2.1"),
        ("postgresql:///lkhub?service=a", False, "postgresql:///lkhub?service=b", "service=a"),
        ("postgresql://lkhub@/lkhub?host=/run/a", False, "postgresql://lkhub@/lkhub?host=/run/b", "host=/run/a"),
    ],
)
def test_store_that_is_left_is_named(
    run: Run, supervisor: FakeSupervisor, applied: StatePaths, before: str, made: bool, after: str, left: str
) -> None:
    """No application's API key is known in the other one."""
    url = before.replace(":", "+psycopg:", 1) or f"sqlite:///{applied.store}"
    write_serve(applied, Application(used=True, store=Store(url)))
    if made:
        Path(applied.store).touch()
    Path("hub.yaml").write_text(f"store: {after}\n")
    said = run("up", "--no-verify").err
    assert left in said
    assert ("another store" in said) == bool(left)


def test_up_twice_is_once(run: Run, supervisor: FakeSupervisor) -> None:
    done = run("up", "--no-verify")
    assert "restarted" not in done.err


@pytest.mark.parametrize("code", [1, 2, 3])
def test_error_of_the_supervisor_is_that_of_the_command(run: Run, supervisor: FakeSupervisor, code: int) -> None:
    failure = {"message": "it broke\nwhat ran before is running again", "hints": ["do this"], "exit_code": code}
    supervisor.answers["apply"] = {"error": failure}
    done = run("up", "--no-verify")
    assert (done.code, done.out) == (code, "")
    assert "what ran before is running again" in done.err
    assert "hint: do this" in done.err


def test_wrong_spec_asks_the_running_hub_for_nothing(run: Run, supervisor: FakeSupervisor) -> None:
    Path("hub.yaml").write_text("web: 0\n")
    assert run("up").code == 2
    assert supervisor.requests("apply") == []


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1), (None, 1)])
def test_failed_verification_leaves_the_hub_and_exits_1(
    run: Run, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch, ok: bool | None, code: int
) -> None:
    verified = Verified(time.time(), (PathResult("udp", ok, "connect", "timed out"),))
    monkeypatch.setattr(examine, "verify_hub", lambda *_, **__: verified)
    done = run("up")
    assert done.code == code
    assert supervisor.requests("stop") == []
    assert ("[path-" in done.err) is (ok is not True)


@pytest.mark.parametrize("json", [False, True])
def test_up_tells_nothing_good_or_bad_of_a_hub_that_was_stopped_while_it_was_verified(
    run: Run, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch, json: bool
) -> None:
    """`down` in another terminal: no call gets through, and what failed is not what is wrong."""

    def verify(*_: object, **__: object) -> Verified:
        supervisor.close()
        return Verified(time.time(), (PathResult("udp", False, "connect", "refused"),))

    monkeypatch.setattr(examine, "verify_hub", verify)
    done = run("up", *(["--json"] if json else []))
    assert (done.code, done.out) == (1, "")
    assert "the hub has been stopped meanwhile" in done.err
    assert "[path-" not in done.err


def test_json_of_up_is_the_status(run: Run, supervisor: FakeSupervisor) -> None:
    answer(supervisor, changed=["serve"])
    done = run("up", "--no-verify", "--json")
    assert [process["name"] for process in done.json["processes"]] == ["media", "relay", "serve"]
    assert done.json["hub"]["state"] == "running"


def test_json_of_up_has_the_surroundings_that_it_was_judged_by(
    run: Run, applied: StatePaths, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The firewall and the names are checked once: two checks may differ, and each takes seconds."""
    looks: list[StatePaths] = []

    def look(paths: StatePaths, _: object) -> Surroundings:
        looks.append(paths)
        return Surroundings("lan")

    monkeypatch.setattr(examine, "gather_surroundings", look)
    monkeypatch.setattr("lkhub.hub.surroundings.gather_surroundings", look)
    record = json.loads(Path(applied.applied).read_text()) | {"reach": "lan"}
    Path(applied.applied).write_text(json.dumps(record))
    assert run("up", "--no-verify", "--json").code == 0
    assert len(looks) == 1
    assert run("status", "--json").code == 0
    assert len(looks) == 2, "it looks itself where nobody has"


@pytest.mark.parametrize("arguments", [("up", "--no-verify"), ("restart",)])
def test_hub_whose_supervisor_is_killed_is_not_said_to_be_down_while_its_processes_run(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(apply, "is_running", lambda _: True)  # a moment ago
    monkeypatch.setattr(
        "lkhub.hub.running.find_left", lambda _: [process_report(name=name) for name in ("media", "serve")]
    )
    done = run(*arguments)
    assert done.code == 1
    assert "the hub's supervisor has ended; still running without it: media, serve" in done.err
    assert "`lkhub up` takes them over" in done.err


def test_ctrl_c_while_the_hub_is_examined_says_that_it_runs_on(
    run: Run, supervisor: FakeSupervisor, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a web site is built."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(examine, "examine_hub", interrupt)
    done = run("up")
    assert (done.code, "the hub has the spec, and runs on; `lkhub status` says" in done.err) == (130, True)
    monkeypatch.delenv("LKHUB_STATE")
    done = run("up", "--state", paths.root)
    assert (done.code, f"runs on; `lkhub status --state {paths.root}` says how it is" in done.err) == (130, True)
