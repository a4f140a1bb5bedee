"""An agent in a call of a media process that has handed over: its room is there as long as people are in it, and its
workers are connected to the process that took over."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import lkhub
from lkhub.host.control import ask
from lkhub.wire.control import StatusRequest
from tests.agents.conftest import hub_with_agent
from tests.agents.test_agents import count_heard, find_job, hear_again, list_agents_in, list_workers, wait_registered
from tests.agents.test_heard_again import HEARD_SECONDS, find_process, one_agent_at_most
from tests.kit.hub import Hub, kill_supervisor
from tests.kit.person import TakingPart, taking_part
from tests.kit.ports import free_port
from tests.kit.redis import run_redis
from tests.waiting import wait_until

# Tests beside these disturb the sound.
GAP_SECONDS = 1.0


@pytest.fixture
def hub(wheels: Path) -> Iterator[Hub]:
    """A hub that is up, with two workers of the agent and ports for two media processes."""
    with run_redis() as redis, hub_with_agent(wheels, ", replicas: 2") as made:
        udp = made.ports["udp"]
        text = made.spec.read_text().replace(f"udp: {udp}", f"udp: [{udp}, {free_port()}]", 1)
        made.spec.write_text(f"{text}redis: {redis.url}\n")
        made.up("--no-verify")
        wait_registered(made, 2)
        yield made


def list_retired(hub: Hub) -> list[int | None]:
    return [each.pid for each in ask(str(hub.state / "run/control.sock"), StatusRequest(max_age=0)).retired]


def hand_over(hub: Hub) -> None:
    """Have media hand over because of a changed setting."""
    before = hub.pids()["media"]
    hub.spec.write_text(f"{hub.spec.read_text()}livekit: {{room: {{max_participants: 7}}}}\n")
    hub.up("--no-verify")
    assert list_retired(hub) == [before]
    wait_registered(hub, 2)


@contextmanager
def measuring(person: TakingPart) -> Iterator[list[float]]:
    """Afterwards it has the longest time in seconds in which the person heard no agent."""
    over, longest = threading.Event(), [0.0]

    def look() -> None:
        heard, at = count_heard(person), time.monotonic()
        while not over.wait(0.05):
            now = time.monotonic()
            longest[0] = max(longest[0], now - at)
            if (count := count_heard(person)) != heard:
                heard, at = count, now

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield longest
    finally:
        over.set()
        watcher.join()


def kill_and_hear(person: TakingPart, *pids: int) -> float:
    """Kill processes, and return when the person hears an agent that is new: after how many seconds without sound. A
    track of a new agent may take the place of an old one, which then seems to be heard too."""
    before = set(person.last)
    with measuring(person) as gap:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: any(who not in before and "/audio" in who and person.last[who] > 20 for who in person.last),
            "a new agent is heard",
        )
    return gap[0]


def has_other_job(hub: Hub, identity: str) -> bool:
    with suppress(AssertionError):
        return find_job(hub, "old")[1] != identity
    return False


def test_agents_go_on_and_are_replaced_in_the_rooms_of_before(hub: Hub) -> None:
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("old", "ann")) as ann:
        hear_again(ann)
        _, identity = find_job(hub, "old")
        with one_agent_at_most(hub, "old"):
            with measuring(ann) as gap:
                hand_over(hub)
                hear_again(ann)
            print(f"longest gap: {gap[0]:.2f} s")
            assert gap[0] < GAP_SECONDS
            # The new process has the worker, and the old one the room.
            wait_until(lambda: find_job(hub, "old")[1] == identity, "the worker has its job")
            assert hub.findings() == []
            for whole in (False, True, False, True):
                pid, identity = find_job(hub, "old")
                silence = kill_and_hear(ann, pid if whole else find_process(hub, identity))
                print(f"silence: {silence:.2f} s after the end of a {'worker' if whole else 'job'}")
                assert silence < HEARD_SECONDS
                wait_until(lambda gone=identity: has_other_job(hub, gone), "the worker of the new agent")  # type: ignore[misc]
                wait_registered(hub, 2)
                assert hub.findings() == []
            # Both at once: the room waits for the first that is back.
            before = {worker["id"] for worker in list_workers(hub)}
            kill_and_hear(ann, *(pid for name, pid in hub.pids().items() if name.startswith("agent-")))
            heard = time.time()
            seconds = heard - min(worker["since"] for worker in list_workers(hub) if worker["id"] not in before)
            print(f"heard again {seconds:.2f} s after a worker had registered")
            assert seconds < HEARD_SECONDS
            wait_registered(hub, 2)
        # One more is called by hand, and another room begins on the new process.
        assert hub.run("agents", "dispatch", "old").returncode == 0
        wait_until(lambda: len(list_agents_in(hub, "old")) == 2, "a second agent is called")
        with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("new", "bob")) as bob, one_agent_at_most(hub, "new"):
            hear_again(bob)
            rooms = sorted(job["room"] for worker in list_workers(hub) for job in worker["jobs"])
            assert rooms == ["new", "old", "old"]
    wait_until(lambda: not list_retired(hub), "the end of the old process")


def test_agent_goes_on_when_another_build_takes_over(hub: Hub, tmp_path: Path) -> None:
    build = Path(lkhub.__file__).parent
    shutil.copytree(build, tmp_path / "lkhub", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token("old", "ann")) as ann, one_agent_at_most(hub, "old"):
        hear_again(ann)
        _, identity = find_job(hub, "old")
        media = hub.pids()["media"]
        with measuring(ann) as gap:
            kill_supervisor(hub)
            hub.environ["PYTHONPATH"] = str(tmp_path)
            hub.up("--no-verify")
            assert list_retired(hub) == [media]
            wait_registered(hub, 2)
            hear_again(ann)
        print(f"longest gap: {gap[0]:.2f} s")
        assert gap[0] < GAP_SECONDS
        wait_until(lambda: find_job(hub, "old")[1] == identity, "the worker has its job")
        silence = kill_and_hear(ann, find_process(hub, identity))
        print(f"silence: {silence:.2f} s")
        assert silence < HEARD_SECONDS
