"""The supervisor of `lkhub up --detach`, and the command that waits for it to be up."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import anyio.lowlevel
import pytest

from lkhub.cli.shared import detached
from lkhub.cli.shared.progress import Progress
from lkhub.errors import EXIT_MACHINE, EXIT_OK, HubError, MachineError
from lkhub.host.control import UnresponsiveError
from lkhub.host.processes import read_state
from lkhub.plan.build import build_plan
from lkhub.plan.paths import StatePaths
from lkhub.spec.load import load_spec
from lkhub.wire.control import Outcome, Started
from lkhub.wire.failure import Failure, parse_answer
from tests.machines import make_facts, make_installation
from tests.waiting import wait_until


class EndedError(Exception):
    """In place of the process."""


@pytest.mark.parametrize(
    "outcome", [Outcome(("media",)), MachineError("the change was refused")], ids=["up", "refused"]
)
def test_hub_runs_on_where_the_command_that_started_it_has_gone(
    outcome: Outcome | HubError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C, a terminal that was closed, `| head -1`: it may have taken a call over by then."""
    went_on: list[bool] = []

    async def run_hub(hub: object, say: object, ready: Any) -> None:
        await ready(None, outcome)
        await anyio.lowlevel.checkpoint()
        went_on.append(True)

    def end(code: int) -> NoReturn:
        raise EndedError(code)

    monkeypatch.setattr(detached, "run_hub", run_hub)
    monkeypatch.setattr(os, "_exit", end)
    reader, writer = os.pipe()
    os.close(reader)
    hub: Any = None
    with pytest.raises(EndedError) as ended:
        detached._run(hub, writer)
    assert ended.value.args == (EXIT_OK,), capsys.readouterr().err
    assert went_on


@pytest.mark.parametrize("refused", ["pipe", "fork"])
def test_start_that_the_machine_refuses_is_no_bug(
    applied: StatePaths, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """As a limit of processes, or of open files."""

    def refuse() -> NoReturn:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, refused, refuse)
    plan = build_plan(load_spec(b""), make_facts(), make_installation(applied.root))
    hub: Any = SimpleNamespace(plan=plan)
    with pytest.raises(MachineError, match="can't start the hub's supervisor: resource temporarily unavailable"):
        detached.start_detached(hub, Progress())


@pytest.mark.parametrize("fails", [False, True])
def test_command_hears_how_the_start_went_though_no_log_can_be_written(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """A full disk is reported, and ends no hub."""

    async def run_hub(hub: object, say: object, ready: Any) -> None:
        if fails:
            raise MachineError("the disk is full")
        await ready(None, Outcome(()))

    def end(code: int) -> NoReturn:
        raise EndedError(code)

    def full(_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(detached, "run_hub", run_hub)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr("lkhub.cli.shared.detached.err.print", full)
    reader, writer = os.pipe()
    hub: Any = None
    with pytest.raises(EndedError) as ended:
        detached._run(hub, writer)
    assert ended.value.args == (EXIT_MACHINE if fails else EXIT_OK,)
    if fails:
        os.close(writer)
    with os.fdopen(reader) as answer:
        report = parse_answer(Started, answer.read())
    assert report == (Failure("the disk is full", exit_code=EXIT_MACHINE) if fails else Started())


LEAVE = """
import os, sys
from lkhub.cli.shared.detached import _leave_caller
ours, given = os.open(os.devnull, os.O_RDONLY), int(sys.argv[1])
_leave_caller(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT))
os.fstat(ours)
print("runs on", flush=True)
try:
    os.fstat(given)
except OSError:
    print("left", flush=True)
"""


def test_hub_lets_go_of_what_its_caller_has_open(tmp_path: Path) -> None:
    """As `flock LOCK lkhub up --detach`: the lock must not last as long as the hub."""
    reader, writer = os.pipe()
    log = tmp_path / "log"
    subprocess.run([sys.executable, "-c", LEAVE, str(writer), str(log)], pass_fds=[writer], check=True)
    os.close(reader)
    os.close(writer)
    assert log.read_text() == "runs on\nleft\n"


def test_command_does_not_wait_for_ever_for_a_supervisor_that_is_stopped_while_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detached, "SILENCE_SECONDS", 0.05)
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[writer]) as starting:
        os.close(writer)
        starting.send_signal(signal.SIGSTOP)
        wait_until(lambda: read_state(starting.pid) == "stopped", "it is stopped")
        with pytest.raises(UnresponsiveError, match=rf"\(pid {starting.pid}, stopped\)") as told:
            detached._await_answer(reader, starting.pid)
        assert f"`kill -CONT {starting.pid}` lets it go on" in told.value.hints
        starting.send_signal(signal.SIGCONT)
        starting.communicate(b"\n")
        detached._await_answer(reader, starting.pid)  # it has ended
    os.close(reader)


@pytest.mark.parametrize(
    ("code", "said", "hint"),
    [
        ("os.kill(os.getpid(), 9)", "was killed by signal 9", "takes over what has been started"),
        ("os._exit(70)", "ended before it was up", "shows why"),
    ],
    ids=["killed", "ended"],
)
def test_supervisor_that_ends_without_a_word_is_reported_as_it_ended(code: str, said: str, hint: str) -> None:
    """As on a machine without free memory, where the log tells nothing."""
    child = subprocess.Popen([sys.executable, "-c", f"import os; {code}"])
    with child, pytest.raises(MachineError, match=said) as raised:
        detached._raise_failure("", child.pid, "hub.log")
    assert hint in raised.value.hints[0]
