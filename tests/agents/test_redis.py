"""An agent in a call that is killed while Redis does not answer: its room gets another one as soon as Redis is back."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.conftest import hub_with_agent
from tests.agents.test_agents import find_job, hear_again, wait_registered
from tests.agents.test_heard_again import HEARD_SECONDS, find_process, one_agent_at_most, wait_heard
from tests.integration.test_two_media import error_of_redis
from tests.kit.hub import Hub
from tests.kit.person import taking_part
from tests.kit.redis import RedisServer, run_redis
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


@pytest.fixture(scope="module")
def hub(wheels: Path, redis: RedisServer) -> Iterator[Hub]:
    """A hub that is up, with two workers of the agent."""
    with hub_with_agent(wheels, ", replicas: 2") as made:
        made.spec.write_text(f"{made.spec.read_text()}redis: {redis.url}\n")
        made.up("--no-verify")
        yield made


# An outage in which the participant of the dead agent is still in its room, and one in which it has left.
@pytest.mark.parametrize(
    ("how", "whole", "outage"),
    [("ends", True, 1.0), ("ends", False, 6.0), ("ends", True, 25.0), ("hangs", False, 6.0)],
    ids=["short", "job", "long", "hangs"],
)
def test_room_has_an_agent_soon_after_redis_is_back(
    hub: Hub, redis: RedisServer, how: str, whole: bool, outage: float
) -> None:
    wait_registered(hub, 2)
    room = f"{how}-{outage}"
    with taking_part((), hub.env()["LIVEKIT_URL"], hub.token(room, "ann")) as ann:
        hear_again(ann)
        pid, identity = find_job(hub, room)
        killed = pid if whole else find_process(hub, identity)
        with one_agent_at_most(hub, room):
            if how == "ends":
                redis.stop()
            else:
                redis.hang()
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: error_of_redis(hub), "Redis is missed")
            time.sleep(outage)
            if how == "ends":
                redis.start()
            else:
                redis.go_on()
            began = time.time()
            # Then clients can join.
            wait_until(lambda: not error_of_redis(hub), "media reaches Redis")
            reached = time.time()
            seconds = wait_heard(ann, reached, without=identity)
            print(f"heard again {seconds:.2f} s after media had reached Redis, in {reached - began:.2f} s")
            assert seconds < HEARD_SECONDS
    wait_registered(hub, 2)
