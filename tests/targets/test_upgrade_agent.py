"""An agent in a call while the hub gets another version, on a machine that systemd has booted: a worker of
livekit-agents in a unit of its own, and a person on another machine who hears it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.agents.conftest import TONE, find_wheels
from tests.agents.test_agents import hear_again
from tests.agents.test_heard_again import HEARD_SECONDS
from tests.agents.test_two_media import measuring
from tests.kit.booted import Booted
from tests.kit.netns import Namespace
from tests.kit.person import TakingPart, taking_part
from tests.targets.conftest import ADDRESS, SETUP, Make
from tests.targets.test_systemd import NO_GAP_SECONDS, list_pids
from tests.targets.test_upgrade import ask_version
from tests.targets.test_upgrade_redis import redis
from tests.waiting import wait_until

__all__ = ["redis"]

PACKAGES = "/opt/agent-packages"

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}, udp: [7882, 7892], tcp: [7881, 7891]}}
redis: redis://127.0.0.1:6379
drain: 5s
agents: [{{name: tone, project: /srv/tone, command: python3 agent.py start, env: {{PYTHONPATH: {PACKAGES}}}}}]
"""

# Python compiles the packages.
REGISTERED_SECONDS = 120


@pytest.fixture(scope="module")
def service(booted: Booted, redis: None) -> Booted:
    """The machine, with a hub that is a service, and its agent."""
    return install_agent(booted, SPEC)


def install_agent(booted: Booted, spec: str) -> Booted:
    """Make a hub a service of the machine, and wait until its agent has registered."""
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links={find_wheels()}"]
    subprocess.run([*argv, f"--target={booted.root}{PACKAGES}", "livekit-agents", "numpy"], check=True)
    # Without its pyproject.toml: what it needs is there already, and this machine has no uv.
    (booted.root / "srv/tone").mkdir()
    shutil.copy(TONE / "agent.py", booted.root / "srv/tone")
    booted.must("chmod -R go+rX /srv/tone")
    (booted.root / "root/hub.yaml").write_text(spec)
    booted.must(f"{SETUP}/bin/lkhub install --spec hub.yaml")
    wait_until(lambda: len(list_workers(booted)) == 1, "the worker has registered", REGISTERED_SECONDS)
    return booted


def list_workers(service: Booted, lkhub: str = "lkhub") -> list[dict[str, Any]]:
    """The workers that are known to be processes of this hub's agents."""
    listed = json.loads(service.run(f"{lkhub} agents list --json --state /var/lib/lkhub").stdout or '{"agents": []}')
    return [row["worker"] for row in listed["agents"] if row["worker"] and row["process"]]


def find_agent(service: Booted) -> str:
    """The identity of the agent in the room, which its worker is known to have."""
    [identity] = wait_until(
        lambda: [job["identity"] for worker in list_workers(service) for job in worker["jobs"]], "its worker has it"
    )
    return str(identity)


@contextmanager
def listening(service: Booted, client: Namespace) -> Iterator[TakingPart]:
    """A person on another machine who hears the agent."""
    trusting = [*client.prefix, "env", f"SSL_CERT_FILE={service.root}/var/lib/lkhub/ca/root.crt"]
    token = service.must("lkhub token --room lobby --identity ann").strip()
    with taking_part(trusting, f"wss://{ADDRESS}", token) as ann:
        hear_again(ann)
        yield ann


def kill_job(service: Booted, person: TakingPart, identity: str) -> float:
    """Kill the process of an agent; for how many seconds the person hears nothing."""
    log = service.must("journalctl --unit lkhub-agent-tone --output cat")
    mark, before = f"JOB {identity.removeprefix('agent-')} ", set(person.last)
    [pid] = [line.split()[2] for line in log.splitlines() if line.startswith(mark)]
    with measuring(person) as gap:
        service.must(f"kill -9 {pid}")
        wait_until(
            lambda: any(who not in before and "/audio" in who and person.last[who] > 20 for who in person.last),
            "a new agent is heard",
        )
    return gap[0]


def test_worker_is_known_to_the_hubs_own_user(service: Booted) -> None:
    as_hub = "setpriv --reuid lkhub --regid lkhub --clear-groups lkhub"
    wait_until(lambda: len(list_workers(service, as_hub)) == 1, "the unit has told which worker is its own")


def test_agent_goes_on_beside_the_new_version(
    service: Booted, network: tuple[Namespace, Namespace], make: Make
) -> None:
    with listening(service, network[1]) as ann:
        identity, before = find_agent(service), list_pids(service)
        with measuring(ann) as gap:
            service.must(f"lkhub upgrade {make('0.2.0', {})}")
            assert ask_version(service) == "0.2.0"
            hear_again(ann)
        print(f"longest gap: {gap[0]:.2f} s")
        assert list_pids(service)["media"] != before["media"]
        assert gap[0] < NO_GAP_SECONDS
        wait_until(lambda: list_workers(service), "the worker is connected to the new media")
        assert find_agent(service) == identity
        silence = kill_job(service, ann, identity)
        print(f"silence: {silence:.2f} s after the end of a job")
        assert silence < HEARD_SECONDS
        codes = {each["code"] for each in json.loads(service.run("lkhub status --json").stdout)["findings"]}
        assert not [code for code in codes if code.startswith("agent")]
