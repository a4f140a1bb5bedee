"""An agent in a call while what carries it ends: how soon a person hears an agent again, and that there is never a
second one in the room."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

import lkhub
from lkhub.errors import HubError
from lkhub.hub.rooms import HubRooms
from lkhub.livekit.room_calls import list_participants
from lkhub.plan.paths import StatePaths
from tests.agents.conftest import hub_with_agent
from tests.agents.test_agents import count_heard, find_job, hear_again, list_agents_in, list_workers, wait_registered
from tests.kit.hub import Hub, kill_supervisor
from tests.kit.person import TakingPart, taking_part
from tests.waiting import wait_until

# From the end of an agent, or from the moment when there is a worker, a client and a media again.
HEARD_SECONDS = 3.0

# Longer than a participant stays in its room whose process is dead.
WATCHED_SECONDS = 40.0


@contextmanager
def one_agent_at_most(hub: Hub, room: str) -> Iterator[None]:
    """The room is looked at ten times a second. One that is sent away as it joins may be seen once."""
    over, seen = threading.Event(), []

    def look() -> None:
        with HubRooms(StatePaths(str(hub.state))) as service:
            while not over.wait(0.1):
                with suppress(HubError):  # media is not there
                    found = service.ask(list_participants(room)).participants
                    seen.append(tuple(each.identity for each in found if each.identity.startswith("agent-")))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    assert seen
    assert [agents for agents, then in pairwise(seen) if min(len(agents), len(then)) > 1] == []


def find_process(hub: Hub, identity: str) -> int:
    """The pid of the process of an agent's job."""
    mark = f"JOB {identity.removeprefix('agent-')} "
    log = hub.log("agent-tone") + hub.log("agent-tone-2")
    [job] = [line.split()[2] for line in log.splitlines() if line.startswith(mark)]
    return int(job)


def wait_heard(person: TakingPart, since: float, without: str = "") -> float:
    """How many seconds after `since` the person hears an agent, other than the one of this identity."""

    def count() -> int:
        gone = person.last.get(f"{without}/audio", 0) if without else 0
        return count_heard(person) - gone

    before = count()
    wait_until(lambda: count() > before, "an agent is heard")
    return time.time() - since


@pytest.mark.parametrize("whole", [True, False], ids=["worker", "job"])
def test_another_worker_takes_the_room_at_once(hub: Hub, whole: bool) -> None:
    wait_registered(hub, 2)
    room = f"heard-{whole}"
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token(room, "ann")) as ann, one_agent_at_most(hub, room):
        hear_again(ann)
        pid, identity = find_job(hub, room)
        os.kill(pid if whole else find_process(hub, identity), signal.SIGKILL)
        seconds = wait_heard(ann, time.time(), without=identity)
        print(f"heard again after {seconds:.2f} s")
        assert seconds < HEARD_SECONDS
    wait_registered(hub, 2)


@pytest.mark.parametrize("how", ["killed", "replaced"])
def test_agent_outlives_media(hub: Hub, how: str) -> None:
    """Its process joins the room of the new media, which may have called another agent by then."""
    wait_registered(hub, 2)
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token(how, "ann")) as ann:
        hear_again(ann)
        before = hub.pids()["media"]
        with one_agent_at_most(hub, how):
            began = time.time()
            if how == "killed":
                os.kill(before, signal.SIGKILL)
            else:
                assert hub.run("restart", "media").returncode == 0
            wait_until(lambda: hub.pids().get("media") not in (None, before), "another media")
            wait_until(lambda: list_workers(hub), "a worker has registered")
            wait_until(lambda: "ann" in hub.run("rooms", "show", how).stdout, "the person is back")
            seconds = wait_heard(ann, time.time())
            print(f"heard again after {seconds:.2f} s")
            assert seconds < HEARD_SECONDS
            time.sleep(max(0.0, began + WATCHED_SECONDS - time.time()))
        hear_again(ann)
        assert len(list_agents_in(hub, how)) == 1
    wait_registered(hub, 2)


def test_call_goes_on_when_another_build_takes_over(hub: Hub, tmp_path: Path) -> None:
    """The supervisor of another build first; its media, once that may be replaced."""
    wait_registered(hub, 2)
    build = Path(lkhub.__file__).parent
    shutil.copytree(build, tmp_path / "lkhub", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("upgraded", "ann")) as ann:
        hear_again(ann)
        _, identity = find_job(hub, "upgraded")
        with one_agent_at_most(hub, "upgraded"):
            kill_supervisor(hub)
            before = hub.environ.copy()
            hub.environ["PYTHONPATH"] = str(tmp_path)
            try:
                hub.up("--no-verify")
                hear_again(ann)
                assert list_agents_in(hub, "upgraded") == [identity]
                media = hub.pids()["media"]
                hub.up("--no-verify", "--now")
                assert hub.pids()["media"] != media
                wait_until(lambda: list_workers(hub), "a worker has registered")
                wait_until(lambda: "ann" in hub.run("rooms", "show", "upgraded").stdout, "the person is back")
                seconds = wait_heard(ann, time.time())
                print(f"heard again after {seconds:.2f} s")
                assert seconds < HEARD_SECONDS
            finally:
                hub.environ = before
    kill_supervisor(hub)
    hub.up("--no-verify", "--now")
    wait_registered(hub, 2)


def test_agent_is_heard_soon_after_its_worker_is_back(wheels: Path) -> None:
    """No other worker is there, so the room waits for the one that is started again."""
    with hub_with_agent(wheels) as hub:
        hub.up("--no-verify")
        wait_registered(hub, 1)
        with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("alone", "ann")) as ann:
            hear_again(ann)
            with one_agent_at_most(hub, "alone"):
                pid, identity = find_job(hub, "alone")
                [old] = list_workers(hub)
                os.kill(pid, signal.SIGKILL)
                wait_heard(ann, 0, without=identity)
                heard = time.time()
                [new] = [each for each in list_workers(hub) if each["id"] != old["id"]]
                seconds = heard - new["since"]
                print(f"heard again after {seconds:.2f} s")
                assert seconds < HEARD_SECONDS
