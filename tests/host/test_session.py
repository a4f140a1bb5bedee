"""The processes that one has started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from lkhub.host import session as session_module
from lkhub.host.processes import ProcessId, identify
from lkhub.host.session import Session, end_user
from lkhub.plan.users import choose_killer
from tests.waiting import wait_until


@contextmanager
def leading(
    script: str, *arguments: str, isolated: bool = True
) -> Iterator[tuple["subprocess.Popen[bytes]", ProcessId]]:
    """The leader of a session, once it has started what `script` starts."""
    argv = [sys.executable, "-ISsc" if isolated else "-c", script, *arguments]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout
        leader.stdout.readline()
        led = identify(leader.pid)
        assert led
        yield leader, led


STARTS = "import subprocess, sys; subprocess.Popen(['sleep', '1000']); print(flush=True); sys.stdin.read()"


def test_members_are_known_after_the_end_of_their_leader() -> None:
    with leading(STARTS) as (leader, led):
        session, late = Session(led), Session(led)
        [member] = session.find_members()
        leader.kill()
        leader.wait()
        assert session.find_members() == (member,)
        assert late.find_members() == (), "its number may belong to another session by now"
        subprocess.run(["kill", str(member.pid)], check=True)
        wait_until(lambda: session.find_members() == (), "its end")


MANY = """
import os, sys
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.setsid()
        os.execv("/bin/sleep", ["sleep", "1000"])
print(flush=True); sys.stdin.read()
"""


@pytest.mark.parametrize("count", [3, 60])
def test_parents_are_read_once_however_many_members_there_are(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with leading(MANY, str(count)) as (leader, led):
        session = Session(led)
        assert len(session.find_members()) == count
        reads, read = [], psutil.process_iter

        def note(*args: Any, **kwargs: Any) -> Any:
            reads.append(args)
            return read(*args, **kwargs)

        monkeypatch.setattr(psutil, "process_iter", note)
        monkeypatch.delattr(psutil.Process, "children")
        assert len(session.find_members()) == count
        assert reads == [()], "what it is told to read, it keeps for all threads"
        leader.kill()
        for member in session.find_members():
            os.kill(member.pid, signal.SIGKILL)


APART = """
import subprocess, sys
from lkhub.host.rights import adopt_left
adopt_left()
run = "import os; os.fork() and os._exit(0); os.execve('/bin/sleep', ['sleep', '1000'], {})"
subprocess.run([sys.executable, "-ISsc", run], start_new_session=True)
print(flush=True); sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system makes it a child of its first process")
def test_process_that_has_left_the_session_is_a_member() -> None:
    with leading(APART, isolated=False) as (leader, led):
        session = Session(led)
        [member] = session.find_members()
        assert os.getsid(member.pid) != leader.pid
        leader.kill()
        leader.wait()
        assert session.find_members() == (member,)
        subprocess.run(["kill", str(member.pid)], check=True)
        wait_until(lambda: session.find_members() == (), "its end")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")
@pytest.mark.parametrize("number", ["KILL", "STOP"])
def test_user_that_signals_all_its_processes_is_ended(tmp_path: Path, number: str) -> None:
    """A chain of processes: each one signals all others of its user, leaves a mark, and starts the next one."""
    uid, marks = 2_000_000_000 + os.getpid(), tmp_path / "marks"
    # The chain is not endless, so that a test that fails leaves none.
    argv = ["perl", "-e", f"for (1..20000) {{ kill {number} => -1; syswrite STDOUT, 'x'; exit if fork }}"]
    with marks.open("ab") as out:
        first = subprocess.Popen(
            argv, stdout=out, user=uid, group=uid, extra_groups=(), start_new_session=True, stderr=subprocess.DEVNULL
        )
    wait_until(lambda: marks.stat().st_size > 10, "the chain")
    end_user(uid)
    size = marks.stat().st_size
    first.wait(10)
    time.sleep(0.2)
    assert marks.stat().st_size == size, "it goes on"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")
def test_user_can_not_signal_what_kills_it() -> None:
    uid = 2_000_000_000 + os.getpid()
    waits = session_module._KILL_ALL.replace("os.kill(-1, signal.SIGKILL)", "print(flush=True); signal.pause()")
    assert waits != session_module._KILL_ALL
    argv = [sys.executable, "-ISsc", waits, str(uid), str(choose_killer(uid))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as killer:
        assert killer.stdout
        killer.stdout.readline()
        one = ["perl", "-e", "exit(kill('KILL', shift) ? 1 : $!{EPERM} ? 0 : 2)", str(killer.pid)]
        code = subprocess.run(one, user=uid, group=uid, extra_groups=(), check=False).returncode
        killer.kill()
        assert code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")
def test_processes_that_have_ended_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their parent may never look at their ends."""
    uid, kill_at_once = 2_000_000_000 + os.getpid(), session_module._kill_at_once
    calls: list[int] = []
    monkeypatch.setattr(psutil, "process_iter", lambda look=psutil.process_iter: look())

    def kill(uid: int) -> bool:
        calls.append(uid)
        return kill_at_once(uid)

    with subprocess.Popen(["sleep", "1000"], user=uid, group=uid, extra_groups=()) as first:
        monkeypatch.setattr(session_module, "_kill_at_once", kill)
        end_user(uid)
        status = psutil.Process(first.pid).status()
        first.kill()
        assert (calls, status) == ([uid], psutil.STATUS_ZOMBIE)


# The first thread ends, and the other one runs on. The system calls are those of Linux on x86-64 and ARM.
WITHOUT_FIRST_THREAD = """
import ctypes, os, platform, sys, threading, time
os.setresuid(*[int(sys.argv[1])] * 3)
threading.Thread(target=time.sleep, args=(1000,)).start()
print(flush=True)
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="the system calls are those of Linux")
def test_process_whose_first_thread_has_ended_is_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    uid = 2_000_000_000 + os.getpid()
    with subprocess.Popen([sys.executable, "-ISsc", WITHOUT_FIRST_THREAD, str(uid)], stdout=subprocess.PIPE) as first:
        wait_until(lambda: psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE, "the end of its first thread")
        monkeypatch.setattr(session_module, "_kill_at_once", lambda _: False)
        end_user(uid)
        try:
            first.wait(10)
        finally:
            first.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")
def test_user_is_ended_that_has_taken_all_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    uid = 2_000_000_007
    argv = ["/bin/sh", "-c", "sleep 1000 & wait"]
    with subprocess.Popen(argv, user=uid, group=uid, extra_groups=(), start_new_session=True) as first:
        wait_until(lambda: len(session_module._list_of(uid)) == 2, "its processes")
        run = subprocess.run

        def start(*command: Any, **rest: Any) -> Any:
            if session_module._list_of(uid):
                raise BlockingIOError
            return run(*command, **rest)

        killed, kill = [], psutil.Process.kill

        def note(process: psutil.Process) -> None:
            killed.append(process.status())
            kill(process)

        monkeypatch.setattr(psutil.Process, "kill", note)
        monkeypatch.setattr(subprocess, "run", start)
        end_user(uid)
        first.wait(10)
        wait_until(lambda: not session_module._list_of(uid), "the end of all of them")
        # None of them can start another in the place of one that was killed.
        assert killed == ["stopped"] * 2
