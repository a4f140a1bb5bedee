"""The first process of an agent's unit: a real one, whose worker is a short script."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkhub.host import sockets
from lkhub.host.agent_home import AgentHome
from lkhub.supervise.agent_keeper import AgentKeeper, _Worker
from lkhub.wire.agent import ENDED_FILE, GIVEN_FILE, RESTART_FILE, GivenAgent, dump_given, parse_kept
from tests.supervise.kept import BREAKS, Kept
from tests.waiting import wait_until


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def media() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def kept(short_dir: Path, media: socket.socket) -> Iterator[Kept]:
    made = Kept(short_dir, media.getsockname()[1])
    try:
        yield made
    finally:
        made.close()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="units and containers are of Linux")


def test_worker_starts_once_the_hub_has_given_something(kept: Kept) -> None:
    kept.wait_told("waits for the hub; 0 restarts")
    assert kept.starts == []
    kept.give("a")
    kept.wait_told("running; 0 restarts")
    kept.wait_starts(1)


@pytest.mark.parametrize("how", ["given", "asked", "signal"])
def test_change_takes_a_new_worker_beside_the_one_that_finishes_its_calls(kept: Kept, how: str) -> None:
    kept.give("a")
    first = kept.wait_starts(1)
    if how == "given":
        kept.give("b")
    elif how == "asked":
        (kept.given / RESTART_FILE).write_text("1")
    else:
        kept.process.send_signal(signal.SIGHUP)
    second = kept.wait_starts(2)
    assert (runs(first), runs(second)) == (True, True)
    kept.finish()
    wait_until(lambda: not runs(first), "the first worker ends")
    assert runs(second)


@pytest.fixture
def connected(kept: Kept) -> int:
    """The pid of a worker that is connected to media."""
    (kept.place / "connects").touch()
    kept.give("a")
    return kept.wait_starts(1)


def is_told(kept: Kept, pid: int) -> bool:
    return (kept.place / f"told-{pid}").exists()


def test_worker_takes_rooms_until_its_successor_does(kept: Kept, connected: int) -> None:
    (kept.place / "connects").unlink()
    kept.give("b")
    second = kept.wait_starts(2)
    # One more, in place of the second, which never took a room.
    kept.give("c")
    kept.wait_starts(3)
    wait_until(lambda: is_told(kept, second), "the second is told to end")
    assert not is_told(kept, connected)
    (kept.place / "connects").touch()
    kept.give("d")
    kept.wait_starts(4)
    wait_until(lambda: is_told(kept, connected), "the first is told to end")


def test_stop_tells_those_too_that_wait_for_a_successor(kept: Kept, connected: int) -> None:
    (kept.place / "connects").unlink()
    kept.give("b")
    kept.wait_starts(2)
    kept.finish()
    kept.process.terminate()
    assert kept.process.wait(60) == 0
    assert is_told(kept, connected)


@pytest.mark.parametrize("finishes", [True, False])
def test_worker_whose_shell_has_ended_finishes_its_calls(short_dir: Path, media: socket.socket, finishes: bool) -> None:
    kept = Kept(short_dir, media.getsockname()[1], shell=True)
    try:
        kept.give("a")
        worker = kept.wait_starts(1)
        kept.process.terminate()
        wait_until(lambda: is_told(kept, worker), "the worker is told to end, which the shell does not do")
        assert (runs(worker), kept.process.poll()) == (True, None)
        if finishes:
            kept.finish()
        else:
            media.close()
        assert kept.process.wait(60) == 0
        assert not runs(worker)
    finally:
        kept.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_worker_has_detached_ends_with_it(kept: Kept, number: signal.Signals) -> None:
    detach = (
        "[ -e {place}/detached ] || setsid sh -c 'echo $$ > {place}/detached; exec env -i sleep 1000' & exec \"$@\""
    )
    kept.start_anew(str(kept.given), "/bin/sh", "-c", detach.format(place=kept.place), "sh", *kept.worker)
    kept.give("a")
    detached = wait_until(lambda: read_pid(kept.place / "detached"), "what it detaches")
    worker = kept.wait_starts(1)
    kept.finish()
    os.kill(worker, number)
    wait_until(lambda: not runs(detached), "the end of what it detached")
    wait_until(lambda: len(kept.starts) == 2, "another worker")


def read_pid(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


def test_what_the_hub_writes_again_without_a_change_takes_no_worker(kept: Kept) -> None:
    kept.give("a")
    kept.wait_starts(1)
    kept.give("a")
    (kept.given / GIVEN_FILE).unlink()
    # It was read in between.
    kept.process.send_signal(signal.SIGHUP)
    kept.wait_starts(2)
    assert len(kept.starts) == 2


def test_worker_that_was_killed_starts_again_at_once_and_one_that_fails_less_and_less_often(kept: Kept) -> None:
    kept.give("a")
    os.kill(kept.wait_starts(1), signal.SIGKILL)
    second = kept.wait_starts(2)
    kept.wait_told("running; 1 restarts")
    (kept.place / "fails").touch()
    os.kill(second, signal.SIGKILL)
    kept.wait_told("starts again soon; 2 restarts; the last ended by signal 9")
    kept.wait_starts(3)
    kept.wait_told("starts again soon; 3 restarts; the last ended with exit code")
    (kept.place / "fails").unlink()
    kept.process.kill()
    assert kept.process.stderr
    said = kept.process.stderr.read().splitlines()
    assert said == [
        "the worker was killed by signal 9; it starts again in 0 s",
        "the worker was killed by signal 9; it starts again in 1 s",
        "the worker ended with exit code 3; it starts again in 2 s",
    ]


def test_worker_whose_installation_fails_starts_less_and_less_often_however_long_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = AgentHome(str(tmp_path), None)
    home.note_failure("x", "can't install its dependencies")
    keeper = AgentKeeper("", (), home.path)
    monkeypatch.setattr(keeper, "_end_left", lambda: None)  # children of this process are not its workers
    keeper._seen = dump_given(GivenAgent("bmo", "x", (), "x", "", "", {"agent-bmo": 8081}, {})).encode()
    pid = 2**22 + 1  # no process has it
    for restarts in (1, 2, 3):
        keeper._current = _Worker(pid, time.monotonic() - 3600)
        keeper._notice_end(pid, 1)
        assert keeper._backoff.failures == restarts


def test_stop_waits_for_calls_and_a_second_one_does_not(kept: Kept) -> None:
    kept.give("a")
    worker = kept.wait_starts(1)
    kept.process.terminate()
    kept.wait_told("finishes its calls")
    assert (runs(worker), kept.process.poll()) == (True, None)
    kept.process.terminate()
    assert kept.process.wait(60) == 0
    assert not runs(worker)


def test_stop_returns_when_the_calls_have_ended(kept: Kept) -> None:
    kept.give("a")
    kept.wait_starts(1)
    kept.finish()
    kept.process.terminate()
    assert kept.process.wait(60) == 0
    assert len(kept.starts) == 1


def test_stop_waits_for_no_call_where_media_is_gone(kept: Kept, media: socket.socket) -> None:
    kept.give("a")
    worker = kept.wait_starts(1)
    media.close()
    kept.process.terminate()
    assert kept.process.wait(60) == 0
    assert not runs(worker)


def test_hub_that_has_ended_takes_the_worker_with_it(kept: Kept, media: socket.socket) -> None:
    kept.give("a")
    worker = kept.wait_starts(1)
    kept.wait_told("running")
    (kept.given / ENDED_FILE).touch()
    kept.wait_told("waits for the hub")
    assert runs(worker), "it may finish what it does"
    media.close()
    assert kept.process.wait(60) == 0
    assert not runs(worker)


def test_hub_that_comes_back_gets_a_worker(kept: Kept) -> None:
    kept.give("a")
    kept.wait_starts(1)
    kept.wait_told("running")
    (kept.given / ENDED_FILE).touch()
    kept.wait_told("waits for the hub")
    (kept.given / ENDED_FILE).unlink()
    kept.wait_starts(2)
    assert kept.process.poll() is None


def test_hub_that_starts_just_before_the_unit_would_end_gets_a_worker(short_dir: Path, media: socket.socket) -> None:
    """The hub's start is no start of a unit that still runs."""
    kept = Kept(short_dir, media.getsockname()[1], gone=3)
    try:
        kept.give("a")
        kept.wait_starts(1)
        kept.wait_told("running")
        kept.finish()
        (kept.given / ENDED_FILE).touch()
        kept.wait_told("waits for the hub")
        time.sleep(1.5)
        os.utime(kept.given / ENDED_FILE)
        with pytest.raises(subprocess.TimeoutExpired):
            kept.process.wait(2.5)
        (kept.given / ENDED_FILE).unlink()
        kept.wait_starts(2)
    finally:
        kept.close()


def test_unit_that_starts_before_the_hub_waits_for_it(short_dir: Path, media: socket.socket) -> None:
    """For as long as it takes."""
    kept = Kept(short_dir, media.getsockname()[1], ended=True)
    try:
        kept.give("a")
        with pytest.raises(subprocess.TimeoutExpired):
            kept.process.wait(1)
        assert kept.starts == []
        (kept.given / ENDED_FILE).unlink()
        kept.wait_starts(1)
    finally:
        kept.close()


def test_what_others_cannot_see_of_workers_is_told(kept: Kept, connected: int) -> None:
    """Which of them is connected to media, from where, and which finishes its calls."""
    [told] = parse_kept(kept.wait_told(" from ").removeprefix("STATUS=")).workers
    assert (told.pid, told.address, told.ends) == (connected, sockets.find_connection(connected, kept.port), False)
    assert told.address.startswith("127.0.0.1:")
    assert told.since
    assert abs(told.since - time.time()) < 60
    kept.give("b")
    kept.wait_starts(2)
    said = parse_kept(kept.wait_told(f"pid {connected} ends").removeprefix("STATUS="))
    assert [(each.pid, each.ends) for each in said.workers if each.ends] == [(connected, True)]


def test_version_that_could_not_be_installed_is_told(kept: Kept) -> None:
    home = AgentHome(f"{kept.place}/home", None)
    os.mkdir(home.path)
    home.note_failure("another version", "long ago")
    (kept.place / "fails").touch()
    kept.give("a")
    assert "not installed" not in kept.wait_told("starts again soon")
    home.note_failure("x", "can't install its dependencies; uv ended with exit code 1")
    said = parse_kept(kept.wait_told("not installed").removeprefix("STATUS="))
    assert said.why == "can't install its dependencies; uv ended with exit code 1"
    assert said.failed
    assert said.failed == pytest.approx(time.time(), abs=60)


def test_error_in_the_keeper_ends_no_call(kept: Kept, connected: int) -> None:
    for name in BREAKS:
        (kept.place / f"break{name}").touch()
        kept.give(name)  # some is done after a change alone
        wait_until(lambda name=name: (kept.place / f"broke{name}").exists(), f"an error in {name}")  # type: ignore[misc]
        assert runs(connected)
        assert kept.process.poll() is None
    os.kill(connected, signal.SIGKILL)
    started = len(kept.starts)
    kept.give("again")
    kept.wait_starts(started + 1)


def test_program_that_cannot_be_started_is_tried_again(kept: Kept) -> None:
    """It may be there again a moment later, as memory may, and the calls of the earlier worker go on meanwhile."""
    program = kept.place / "program"
    kept.start_anew(str(kept.given), str(program), *kept.worker)
    kept.give("a")
    assert kept.process.stderr is not None
    begin = f"{program} can't be started: no such file or directory; it starts again in"
    assert [kept.process.stderr.readline().strip() for _ in range(2)] == [f"{begin} 0 s", f"{begin} 1 s"]
    program.write_text('#!/bin/sh\nexec "$@"')
    program.chmod(0o755)
    kept.wait_starts(1)


def test_unit_whose_folder_is_another_one_by_now_starts_again(kept: Kept) -> None:
    """What is mounted in it stays the earlier folder; a process in that folder stands for it."""
    kept.start_anew(".", *kept.worker, cwd=kept.given)
    kept.give("a")
    first = kept.wait_starts(1)
    (kept.given / GIVEN_FILE).unlink()
    kept.given.rmdir()
    wait_until(lambda: (kept.place / f"told-{first}").exists(), "the worker is told to finish its calls")
    kept.finish()
    said = kept.process.communicate(timeout=60)[1]
    assert (kept.process.returncode, "another folder by now" in said) == (1, True)
