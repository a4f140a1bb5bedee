"""What `down` and `restart` request from a running supervisor, and what they print without one."""

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from lkhub.host import acting
from lkhub.host.lock import hold_lock
from lkhub.plan.paths import StatePaths
from tests.cli.conftest import FakeSupervisor, Run


@pytest.mark.parametrize("now", [True, False])
def test_down_stops_the_hub(run: Run, supervisor: FakeSupervisor, now: bool) -> None:
    done = run("down", *(["--now"] if now else []))
    assert (done.code, done.out, done.err) == (0, "", "the hub is down\n")
    assert [request["drain"] for request in supervisor.requests("stop")] == [not now]


def test_down_does_not_say_that_a_hub_is_down_where_none_is_known(run: Run, paths: StatePaths, tmp_path: Path) -> None:
    done = run("down")
    assert (done.code, done.out) == (0, "")
    assert "the hub is down" not in done.err
    assert f"nothing to stop: {paths.root} does not exist" in done.err
    assert "--state DIR" in done.err
    assert not Path(paths.root).exists(), "asking makes nothing"
    (tmp_path / "other").mkdir()
    assert "other has no record of a hub" in run("down", "--state", str(tmp_path / "other")).err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as others")
def test_root_needs_no_lkhub_of_the_hubs_user_where_nothing_runs(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One below /root, which this user can't read."""
    # A user of whom no process runs.
    os.chown(applied.root, 4_000_001, 4_000_001)
    monkeypatch.setattr(acting, "os", SimpleNamespace(**{**vars(os), "stat": refuse_modules}))
    done = run("down")
    assert (done.code, done.err) == (0, "the hub is down\n")


def refuse_modules(path: str) -> os.stat_result:
    if path.endswith(".py"):
        raise PermissionError(path)
    return os.stat(path)


def test_down_of_a_hub_that_was_stopped_is_no_news(run: Run, applied: StatePaths) -> None:
    assert run("down").err == "the hub is down\n"


@pytest.mark.parametrize(
    "command",
    [
        ("env",),
        ("token", "--room", "a", "--link"),
        ("verify",),
        ("logs",),
        ("trust",),
        ("rooms", "create", "a"),
    ],
)
def test_commands_name_the_place_where_no_hub_is_known(run: Run, paths: StatePaths, command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.code in (1, 2, 3)
    assert paths.root in done.err
    assert "--state DIR, or LKHUB_STATE" in done.err


def test_restart_is_of_one_or_of_all(run: Run, supervisor: FakeSupervisor) -> None:
    assert run("restart", "media").err == "restarted media\n"
    supervisor.answers["restart"] = {"restarted": ["media", "relay", "serve"], "people": 2, "only_through": []}
    assert "2 people are in a call and had to reconnect" in run("restart").err
    assert [request["name"] for request in supervisor.requests("restart")] == ["media", None]


def test_restart_of_what_carries_some_of_them_cuts_off_those(run: Run, supervisor: FakeSupervisor) -> None:
    supervisor.answers["restart"] = {"restarted": ["relay"], "people": 2, "only_through": ["relay"]}
    said = "restarted relay; 2 people are in a call, and people who came through relay had to reconnect\n"
    assert run("restart", "relay").err == said


def test_restart_of_an_unknown_process_names_the_existing_ones(run: Run, supervisor: FakeSupervisor) -> None:
    done = run("restart", "nobody")
    assert done.code == 2
    assert "one of: media, relay, serve" in done.err
    assert supervisor.requests("restart") == []


@pytest.mark.parametrize("then", ["answers", "gives up", "stays"])
def test_down_while_another_command_starts_the_hub_waits_and_says_what_is_so(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """`up` holds the lock, and nothing answers or runs yet."""
    monkeypatch.setattr("lkhub.cli.down.START_SECONDS", 30.0 if then != "stays" else 0.2)
    looked = threading.Event()

    def sleep(_: float) -> None:
        looked.set()
        threading.Event().wait(0.01)

    monkeypatch.setattr("lkhub.host.control.time.sleep", sleep)
    fakes: list[FakeSupervisor] = []

    def start_up() -> None:
        with hold_lock(applied):
            held.set()
            looked.wait(30)
            if then == "answers":
                fakes.append(FakeSupervisor(applied.control))
            if then != "gives up":
                over.wait(30)

    held, over = threading.Event(), threading.Event()
    other = threading.Thread(target=start_up)
    other.start()
    held.wait(30)
    done = run("down")
    over.set()
    other.join(30)
    for fake in fakes:
        assert len(fake.requests("stop")) == 1
        fake.close()
    assert done.code == (1 if then == "stays" else 0)
    assert "starting or stopping" in done.err
    assert ("the hub is down" in done.err) is (then != "stays")


def test_status_while_another_command_starts_the_hub_does_not_say_that_it_is_stopped(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lkhub.hub.running.SETTLE_SECONDS", 0.1)
    with hold_lock(applied):
        for command in (("status",), ("status", "--json"), ("restart",)):
            done = run(*command)
            assert (done.code, done.out) == (1, "")
            assert "the hub is starting or stopping" in done.err
    assert json.loads(run("status", "--json").out)["hub"]["state"] == "stopped"
