"""The processes that one has started."""

import os
import subprocess
import sys

import pytest

from lkhub.host.processes import identify
from lkhub.host.session import Session
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
