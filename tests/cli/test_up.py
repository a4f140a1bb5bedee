"""What `up`, `down` and `restart` ask of a supervisor that runs, and what they make of its answers."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lkhub.cli import up as up_module
from lkhub.health.paths import PathResult
from lkhub.health.status import Verified
from lkhub.health.surroundings import Surroundings
from lkhub.host.processes import ProcessId, identify, is_alive, start, wait_until_gone
from lkhub.plan.model import Fingerprint, ProcessName, ProcessPlan, Ready
from lkhub.plan.paths import StatePaths
from lkhub.supervise import control
from lkhub.supervise.lock import hold_lock
from lkhub.supervise.record import CONFIGS, Identity, mark
from tests.cli.conftest import Run
from tests.waiting import wait_until

PROCESSES = [
    {"name": name, "pid": 1, "state": "running", "since": 1.0, "restarts": 0} for name in ("media", "relay", "serve")
]


class FakeSupervisor:
    """Answers on the control socket with what a test wants; `asked` has the requests."""

    def __init__(self, path: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {
            "status": {"ok": {"processes": PROCESSES, "failures": {}, "pending": False, "spec": None, "pid": 1}},
            "apply": {"ok": {"changed": [], "pending": False, "people": 0, "cut": 0}},
            "restart": {"ok": {"restarted": ["media"], "people": 0}},
            "stop": {"ok": {}},
        }
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as reader:
                line = reader.readline()
                if not line:  # it was only looked whether anything listens
                    continue
                request = json.loads(line)
                self.asked.append(request)
                connection.sendall(json.dumps(self.answers[request["do"]]).encode() + b"\n")

    def requests(self, do: str) -> list[dict[str, Any]]:
        return [request for request in self.asked if request["do"] == do]

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def supervisor(applied: StatePaths) -> Iterator[FakeSupervisor]:
    fake = FakeSupervisor(applied.control)
    yield fake
    fake.close()


@pytest.fixture
def tmp_path(short_dir: Path) -> Path:
    """Sockets need a short path."""
    return short_dir


def answer(supervisor: FakeSupervisor, **applied: Any) -> None:
    supervisor.answers["apply"]["ok"] |= applied


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


def test_up_sends_the_variables_that_the_spec_names_and_no_others(
    run: Run, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("hub.yaml").write_text("keys: {source: {env: [HUB_KEY, HUB_SECRET]}}\n")
    monkeypatch.setenv("HUB_KEY", "API")
    monkeypatch.setenv("HUB_SECRET", "s" * 40)
    run("up", "--no-verify")
    assert supervisor.requests("apply")[0]["environ"] == {"HUB_KEY": "API", "HUB_SECRET": "s" * 40}


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
            {"changed": ["relay"], "cut": 2},
            "restarted relay; 2 people are in a call, and whoever came through relay had to reconnect",
        ),
        (
            {"changed": ["relay", "serve", "edge"], "cut": 1},
            "; 1 person is in a call, and whoever came through relay or edge had to reconnect",
        ),
        (
            {"changed": ["media"], "pending": True, "people": 2},
            "pending: media would restart, and 2 people are in a call",
        ),
        (
            {"changed": ["media"], "pending": True, "people": None},
            "whether people are in a call is not known: media does not say, or is another one since a moment ago; "
            "applied when it is known that nobody is, or with --now",
        ),
        ({"changed": [], "reloaded": ["edge"]}, "edge took its change over without a restart\n"),
        ({"changed": ["serve"], "reloaded": ["edge"]}, "restarted serve\nedge took its change over"),
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
    monkeypatch.setattr(up_module, "verify_hub", lambda *_, **__: verified)
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

    monkeypatch.setattr(up_module, "verify_hub", verify)
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
    """The firewall and the names are looked at once: two looks may differ, and each takes seconds."""
    looks: list[StatePaths] = []

    def look(paths: StatePaths, _: object) -> Surroundings:
        looks.append(paths)
        return Surroundings("lan")

    monkeypatch.setattr(up_module, "look_around", look)
    monkeypatch.setattr("lkhub.cli.around.look_around", look)
    record = json.loads(Path(applied.applied).read_text()) | {"reach": "lan"}
    Path(applied.applied).write_text(json.dumps(record))
    assert run("up", "--no-verify", "--json").code == 0
    assert len(looks) == 1
    assert run("status", "--json").code == 0
    assert len(looks) == 2, "it looks itself where nobody has"


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
    supervisor.answers["restart"] = {"ok": {"restarted": ["media", "relay", "serve"], "people": 2}}
    assert "2 people are in a call and had to reconnect" in run("restart").err
    assert [request["name"] for request in supervisor.requests("restart")] == ["media", None]


def test_restart_of_what_carries_some_of_them_cuts_off_those(run: Run, supervisor: FakeSupervisor) -> None:
    supervisor.answers["restart"] = {"ok": {"restarted": ["relay"], "people": 2}}
    said = "restarted relay; 2 people are in a call, and whoever came through relay had to reconnect\n"
    assert run("restart", "relay").err == said


def test_restart_of_nobody_names_who_there_is(run: Run, supervisor: FakeSupervisor) -> None:
    done = run("restart", "nobody")
    assert done.code == 2
    assert "one of: media, relay, serve" in done.err
    assert supervisor.requests("restart") == []


def test_status_is_that_of_the_supervisor(run: Run, supervisor: FakeSupervisor) -> None:
    assert run("status").code == 0
    supervisor.answers["status"]["ok"]["pending"] = True
    found = run("status", "--json")
    assert (found.code, [finding["code"] for finding in found.json["findings"]]) == (0, ["change-pending"])


Leave = Callable[..., subprocess.Popen[bytes]]

WAITING = "echo ready; exec sleep 60"


@pytest.fixture
def leave(applied: StatePaths, tmp_path: Path) -> Iterator[Leave]:
    """`leave("media")`: a process that an earlier supervisor has left running, on record or known by its mark alone."""
    left: list[subprocess.Popen[bytes]] = []

    def leave_one(name: ProcessName, *, recorded: bool = True) -> subprocess.Popen[bytes]:
        log = tmp_path / name
        environ = {**os.environ, **mark(applied, name, Fingerprint("program", "files"))}
        child = start(["/bin/sh", "-c", WAITING], str(log), environ)
        left.append(child)
        wait_until(lambda: "ready" in log.read_text(), "its start")
        process = identify(child.pid)
        assert process is not None
        plan = ProcessPlan(name, ("/bin/sh", "--config", applied.render(CONFIGS[name])), (), Ready(), True)
        if recorded:
            text = Identity(process, plan, Fingerprint("program", "files"), 1.0).dump()
            Path(applied.record(name)).write_text(text)
        return child

    yield leave_one
    # Only here are they waited for: until then nobody else has their pids.
    for child in left:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.mark.parametrize("recorded", [True, False])
def test_down_ends_what_was_left_without_a_supervisor(
    run: Run, applied: StatePaths, leave: Leave, recorded: bool
) -> None:
    left = [leave("serve", recorded=recorded), leave("media", recorded=recorded)]
    done = run("down")
    assert done.code == 0, done.err
    for name, child in zip(("serve", "media"), left, strict=True):
        assert f"ended {name} (pid {child.pid}), which ran without a supervisor" in done.err
        assert identify(child.pid) is None
    assert done.err.index("ended media") < done.err.index("ended serve"), "relayed people stay while it drains"
    assert not os.path.exists(applied.record("media"))


@pytest.mark.parametrize(("options", "how"), [((), "drain"), (("--now",), "now")])
def test_down_without_a_supervisor_lets_calls_finish_too(
    run: Run, leave: Leave, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], how: str
) -> None:
    leave("media")
    leave("serve")
    asked: list[tuple[object, ...]] = []

    async def end(process: ProcessId, how: str, plan: ProcessPlan) -> None:
        asked.append((how, plan.drain))
        os.killpg(process.pid, signal.SIGKILL)
        await wait_until_gone(process)

    monkeypatch.setattr("lkhub.supervise.ending.end_process", end)
    assert run("down", *options).code == 0
    assert asked == [(how, 30), ("now", 30)]


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

    monkeypatch.setattr("lkhub.supervise.control.time.sleep", sleep)
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
    monkeypatch.setattr("lkhub.cli.hub.SETTLE_SECONDS", 0.1)
    with hold_lock(applied):
        for command in (("status",), ("status", "--json"), ("restart",)):
            done = run(*command)
            assert (done.code, done.out) == (1, "")
            assert "the hub is starting or stopping" in done.err
    assert json.loads(run("status", "--json").out)["hub"]["state"] == "stopped"


def test_down_ends_what_such_a_process_has_started_too(run: Run, applied: StatePaths, tmp_path: Path) -> None:
    """As a livekit-server that a script has started."""
    log = tmp_path / "log"
    environ = {**os.environ, **mark(applied, "media", Fingerprint("program", "files"))}
    script = start(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], str(log), environ)
    wait_until(lambda: log.read_text().endswith("\n"), "its start")
    threading.Thread(target=script.wait, daemon=True).start()
    started = identify(int(log.read_text()))
    assert run("down").code == 0
    assert started is not None
    assert not is_alive(started)
    script.wait()


def test_down_of_a_copied_state_directory_ends_nothing_of_the_hub_that_it_was_copied_from(
    run: Run, applied: StatePaths, leave: Leave, short_dir: Path
) -> None:
    child = leave("media")
    copy = short_dir / "copy"
    shutil.copytree(applied.root, copy)
    for command in (("down", "--state", str(copy)), ("status", "--state", str(copy), "--json")):
        done = run(*command)
        assert child.poll() is None
    assert json.loads(done.out)["hub"]["state"] == "stopped"


def test_down_that_leaves_something_running_fails(run: Run, leave: Leave, monkeypatch: pytest.MonkeyPatch) -> None:
    async def end_nothing(*_: object) -> None:
        pass

    child = leave("media")
    monkeypatch.setattr("lkhub.supervise.ending.end_process", end_nothing)
    done = run("down")
    assert done.code == 3
    assert f"still running: media (pid {child.pid})" in done.err
    assert "the hub is down" not in done.err


def test_status_without_a_supervisor_knows_what_is_on_no_record(run: Run, leave: Leave) -> None:
    child = leave("media", recorded=False)
    status = json.loads(run("status", "--json").out)
    assert status["hub"]["state"] == "unsupervised"
    assert [(process["name"], process["pid"]) for process in status["processes"]] == [("media", child.pid)]
    assert [finding["code"] for finding in status["findings"]] == ["no-supervisor"]


# --- a supervisor of another version


def test_supervisor_that_tells_more_than_is_known_is_understood(run: Run, supervisor: FakeSupervisor) -> None:
    for do, more in (("apply", {"moved": ["x"]}), ("status", {"weather": {"a": 1}}), ("restart", {"why": "x"})):
        supervisor.answers[do] = {"ok": {**supervisor.answers[do]["ok"], **more}, "version": "9.9.9", "also": 1}
    for command in (("up", "--no-verify"), ("status",), ("status", "--json"), ("restart",), ("down",)):
        done = run(*command)
        assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("do", "lacks", "command"),
    [
        ("status", "processes", ("status",)),
        ("status", "processes", ("restart",)),
        ("restart", "restarted", ("restart",)),
        ("restart", "people", ("restart",)),
        ("apply", "changed", ("up", "--no-verify")),
    ],
)
def test_what_a_supervisor_of_another_version_does_not_tell_is_told_and_no_bug(
    run: Run, supervisor: FakeSupervisor, do: str, lacks: str, command: tuple[str, ...]
) -> None:
    less = {key: value for key, value in supervisor.answers[do]["ok"].items() if key != lacks}
    supervisor.answers[do] = {"ok": less, "version": "0.0.9"}
    done = run(*command)
    assert (done.code, done.out) == (3, "")
    assert f"supervisor (lkhub 0.0.9) does not tell '{lacks}'" in done.err
    assert "`lkhub down`, then `lkhub up`" in done.err


def test_what_has_a_default_need_not_be_told(run: Run, supervisor: FakeSupervisor) -> None:
    supervisor.answers["apply"] = {"ok": {"changed": ["serve"]}}
    done = run("up", "--no-verify")
    assert done.code == 0
    assert "restarted serve" in done.err


@pytest.mark.parametrize("command", [("up", "--no-verify"), ("status",), ("restart",), ("down",)])
def test_supervisor_that_does_not_answer_is_told_by_every_command(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(control, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(control, "PING_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(applied.control)
        hung.listen()
        done = run(*command)
    assert (done.code, done.out) == (1, "")
    assert f"the hub's supervisor does not answer (pid {os.getpid()}" in done.err
    assert f"`kill -9 {os.getpid()}`, then `lkhub up`" in done.err
    assert "is down" not in done.err


@pytest.mark.parametrize("arguments", [("up", "--no-verify"), ("restart",)])
def test_hub_whose_supervisor_is_killed_is_not_said_to_be_down_while_its_processes_run(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(up_module, "is_running", lambda _: True)  # a moment ago
    monkeypatch.setattr("lkhub.cli.hub._find_left", lambda _: [{"name": "media"}, {"name": "serve"}])
    done = run(*arguments)
    assert done.code == 1
    assert "the hub's supervisor has ended; still running without it: media, serve" in done.err
    assert "`lkhub up` takes them over" in done.err
