"""An agent in a call while a hub without Redis gets another version, on a machine that systemd has booted. Media is
replaced, so the call is interrupted; then the room has an agent again."""

import time

import pytest

from tests.agents.test_agents import hear_again
from tests.agents.test_heard_again import HEARD_SECONDS, wait_heard
from tests.kit.booted import Booted
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS, Make
from tests.targets.test_systemd import list_pids
from tests.targets.test_upgrade import ask_version
from tests.targets.test_upgrade_agent import PACKAGES, find_agent, install_agent, kill_job, list_workers, listening
from tests.waiting import wait_until

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
drain: 5s
agents: [{{name: tone, project: /srv/tone, command: python3 agent.py start, env: {{PYTHONPATH: {PACKAGES}}}}}]
"""


@pytest.fixture(scope="module")
def service(booted: Booted) -> Booted:
    return install_agent(booted, SPEC)


def test_room_has_an_agent_again_after_the_upgrade(
    service: Booted, network: tuple[Namespace, Namespace], make: Make
) -> None:
    with listening(service, network[1]) as ann:
        before = list_pids(service)["media"]
        service.must(f"lkhub upgrade --now {make('0.2.0', {})}")
        assert ask_version(service) == "0.2.0"
        assert list_pids(service)["media"] != before
        wait_until(lambda: list_workers(service), "a worker has registered")
        wait_until(lambda: "ann" in service.run("lkhub rooms show lobby").stdout, "the person is back")
        seconds = wait_heard(ann, time.time())
        print(f"heard again after {seconds:.2f} s")
        assert seconds < HEARD_SECONDS
        hear_again(ann)
        silence = kill_job(service, ann, find_agent(service))
        print(f"silence: {silence:.2f} s after the end of a job")
        assert silence < HEARD_SECONDS
