"""A child of the supervisor on a machine that refuses something for a moment."""

import errno
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.plan.paths import StatePaths
from lkhub.supervise import child as child_module
from tests.supervise.conftest import MakeChild, list_running, pid, tasks
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_child_that_cannot_be_looked_at_is_ended_and_tried_again(
    make_child: MakeChild, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a free descriptor it looks as if it were gone. Waiting for its end would block for ever."""
    child = make_child()
    async with tasks() as group:
        monkeypatch.setattr("lkhub.host.processes.identify", lambda _: None)
        with pytest.raises(MachineError, match="media was started and can't be watched"):
            await child.start(group)
        monkeypatch.undo()
        assert list_running(paths) == []
        await child.start(group)
        assert child.state == "running"
        await child.stop("now")


async def test_process_that_is_started_again_has_no_log_rather_than_not_to_be_there(
    make_child: MakeChild, paths: StatePaths
) -> None:
    """`restart` on a file system that became read-only: what ran is to run again."""
    Path(paths.log("media")).mkdir()
    child = make_child()
    async with tasks() as group:
        with pytest.raises(MachineError, match="can't write"):
            await child.start(group)
        await child.stop("now")
        await child.start(group, persist=True)
        assert (child.state, child.restarts) == ("running", 0)
        # It is no bug either that its end can't be detected.
        before = pid(child)
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        assert "media was killed by signal 9; can't read" in child.last_failure or child.last_failure == ""
        assert child.restarts == 1
        await child.stop("now")


async def test_process_that_cannot_be_started_for_a_moment_has_its_log_afterwards(
    make_child: MakeChild, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[object] = []
    popen = subprocess.Popen

    def refuse_first(*given: Any, **how: Any) -> Any:
        if not refused:
            refused.append(given)
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return popen(*given, **how)

    child = make_child(say="at your service")
    async with tasks() as group:
        await child.start(group)
        before = pid(child)
        monkeypatch.setattr(subprocess, "Popen", refuse_first)
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the next one")
        assert refused
        assert Path(paths.log("media")).read_text() == "at your service\n" * 2
        await child.stop("now")


async def refuse_end(*_: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_child_that_cannot_be_ended_is_watched_over_as_before(
    make_child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was neither ended nor started again."""
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        before, since = pid(child), child.since
        with monkeypatch.context() as refusing:
            refusing.setattr(child_module, "end_process", refuse_end)
            with pytest.raises(MachineError, match=r"can't end media: OSError \(Too many open files\)"):
                await child.stop("now")
        assert (child.state, child.since, pid(child)) == ("running", since, before)
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        await child.stop("now")
        assert child.state == "stopped"


def refuse(*_: object) -> bool:
    raise MachineError("the disk is full")


async def test_unwritable_record_leaves_no_unknown_process(
    make_child: MakeChild, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold the port of the next one."""
    monkeypatch.setattr(files, "write_private", refuse)
    child = make_child()
    async with tasks() as group:
        try:
            await child.start(group)
        except MachineError:
            assert list_running(paths) == []
        else:
            assert [process.pid for process in list_running(paths)] == [pid(child)]
        await child.stop("now")
    assert list_running(paths) == []


async def test_child_stops_where_nothing_can_be_written_any_more(
    make_child: MakeChild, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worn-out SD card turns read-only."""
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        monkeypatch.setattr(files, "remove", refuse)
        monkeypatch.setattr(files, "write_private", refuse)
        await child.stop("now")
        assert child.state == "stopped"
    assert list_running(paths) == []
