"""Agents of another user that detach one process after the other, faster than anybody can look."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lkhub.host import session as session_module
from lkhub.host.files import ensure_private_dir
from lkhub.host.processes import ProcessId, identify, is_alive
from lkhub.host.session import Session, end_user
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, ProcessPlan
from lkhub.plan.users import FIRST_UID, UIDS
from lkhub.state.identity import Identity, write_record, write_retired
from lkhub.supervise.ending import end_left
from lkhub.supervise.left import find_running
from lkhub.supervise.strays import end_strays
from lkhub.wire.agent import AgentConfig, dump_agent
from tests.supervise.conftest import QUICK, MakeHub, pids, supervising
from tests.supervise.retired.conftest import AGENT, with_agent
from tests.waiting import until, wait_until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root has users for agents"),
]

# Of no hub, also of none that a test next to this one runs.
UID = FIRST_UID + UIDS + os.getpid()

# It can't read Python's own files as this user, and needs none any more. All that it starts has the pipe; the one that
# is started in its place has not.
RUNS_AWAY = f"""
import os, sys, time
try:
    os.unlink(sys.argv[1])
except FileNotFoundError:
    first = False
else:
    first = True
    os.write(os.open(sys.argv[2], os.O_WRONLY), b"x")
os.setgroups([]); os.setgid({UID}); os.setuid({UID})
if not first or os.fork():
    while True: time.sleep(1000)
# A test that is killed must not leave it on the machine for ever.
ends = time.monotonic() + 120
while time.monotonic() < ends:
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(0.0005)
"""


class Agent:
    """Its arguments, and what is known of its processes by the pipe that they have open."""

    def __init__(self, folder: Path) -> None:
        (folder / "first").touch()
        os.mkfifo(folder / "pipe")
        self.argv = (sys.executable, "-ISsc", RUNS_AWAY, str(folder / "first"), str(folder / "pipe"))
        self.handle = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    def runs_away(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.handle, 1) == b"x"
        return False

    def is_gone(self) -> bool:
        """Whether all of them have ended, once it runs away."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.handle, 1) == b""
        return False


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    end_user(UID)
    os.close(made.handle)


@pytest.fixture
def rendered(tmp_path: Path) -> str:
    """What the agent is told, with its user."""
    config = AgentConfig("bmo", "/p", (), "/h", UID, 8081, {}, "0" * 64, "", "")
    (tmp_path / "agent-bmo.json").write_text(dump_agent(config))
    return str(tmp_path / "agent-bmo.json")


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "before anybody has seen its user"])
@pytest.mark.parametrize("how", ["stops", "is killed", "is ended without a supervisor"])
async def test_agent_of_another_user_leaves_nothing(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    agent: Agent,
    rendered: str,
    how: str,
    is_seen: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = with_agent(make_hub(media={}, serve={}), argv=agent.argv, files=(rendered,))
    if not is_seen:  # it was ours when anybody looked
        monkeypatch.setattr(session_module, "_find_uid", lambda _: os.geteuid())
    async with supervising(paths, said, leave="without" in how) as supervisor:
        await supervisor.apply(hub)
        await until(agent.runs_away, "its start")
        process = psutil.Process(pids(supervisor)[AGENT])
        await until(lambda: process.uids().real == UID, "its user")
        if how == "is killed":
            process.kill()
        elif how == "stops":
            await supervisor.stop("now")
        if "without" not in how:
            await until(agent.is_gone, "the end of all that it has started")
    for left in find_running(paths) if "without" in how else ():
        await end_left(left.process, "now", left.plan, paths, QUICK)
    await until(agent.is_gone, "the end of all that it has started")


@pytest.fixture
def other() -> Iterator[ProcessId]:
    with subprocess.Popen(["sleep", "1000"], user=UID, group=UID) as popen:
        found = identify(popen.pid)
        assert found
        yield found
        popen.kill()


@pytest.mark.parametrize("uid", [UID, None, UID + 1], ids=["the same", "unknown", "another"])
@pytest.mark.parametrize("told", ["a record", "a record of one that retired", "the supervisor"])
def test_replica_and_predecessor_are_of_the_same_user_and_stay(
    paths: StatePaths, tmp_path: Path, agent: Agent, other: ProcessId, uid: int | None, told: str
) -> None:
    """`uid` is the user that another agent is said to become. None: that can't be known. The supervisor alone knows of
    one whose record a full disk did not take."""
    config = AgentConfig("bmo", "/p", (), "/h", uid, 8081, {}, "0" * 64, "", "")
    rendered = tmp_path / "agent-bmo.json"
    rendered.write_text("damaged" if uid is None else dump_agent(config))
    plan = ProcessPlan("agent-bmo-2", ("sleep",), files=(str(rendered),), registers=True)
    ensure_private_dir(paths.root)
    ensure_private_dir(paths.run)
    known = Identity(other, paths.root, plan, UNKNOWN, 1.0)
    if told != "the supervisor":
        (write_retired if "retired" in told else write_record)(paths, known)
    with subprocess.Popen(agent.argv) as popen:
        wait_until(agent.runs_away, "its start")
        wait_until(lambda: psutil.Process(popen.pid).uids().real == UID, "its user")
        led = identify(popen.pid)
        assert led
        session = Session(led)
        session.find_members()
        popen.kill()
    end_strays(session, paths, {other: known} if told == "the supervisor" else {})
    if uid == UID + 1:
        wait_until(agent.is_gone, "its end")
        return
    assert is_alive(other)
    assert not agent.is_gone()


def test_nothing_is_ended_of_our_own_user(paths: StatePaths) -> None:
    own = identify(os.getpid())
    assert own
    session = Session(own)
    session.find_members()
    assert session.uid == os.geteuid()
    end_strays(session, paths, {})
