"""The processes that one has started."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lkhub.host import session as session_module
from lkhub.host.processes import identify
from lkhub.host.session import Session, end_user
from tests.waiting import wait_until

STARTS = "import subprocess, sys; subprocess.Popen(['sleep', '1000']); print(flush=True); sys.stdin.read()"


def test_members_are_known_after_the_end_of_their_leader() -> None:
    argv = [sys.executable, "-ISsc", STARTS]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout
        leader.stdout.readline()
        led = identify(leader.pid)
        assert led
        session, late = Session(led), Session(led)
        [member] = session.find_members()
        leader.kill()
        leader.wait()
        assert session.find_members() == (member,)
        assert late.find_members() == (), "its number may belong to another session by now"
        subprocess.run(["kill", str(member.pid)], check=True)
        wait_until(lambda: session.find_members() == (), "its end")


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
    argv = [sys.executable, "-c", APART]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout
        leader.stdout.readline()
        led = identify(leader.pid)
        assert led
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
