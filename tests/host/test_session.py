"""The processes that one has started."""

import subprocess
import sys

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
