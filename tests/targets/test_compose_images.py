"""An agent that is an image of its own, beside a hub in a container: the guide's Dockerfile and the rendered compose
file, on a Docker daemon."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from lkhub.plan import container
from tests.agents.test_agents import hear_again
from tests.kit.docker import Docker
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS
from tests.targets.deployed import Deployed, build_arguments, deploy
from tests.targets.tone import IMAGE, UID, build_tone
from tests.waiting import wait_until

STATE = "/var/lib/lkhub"
TRIES = (
    *(f"{STATE}/keys.yaml", f"{STATE}/ca/root.key", f"{STATE}/rendered/agent.secret"),
    *(f"{STATE}/run/control.sock", "/etc/lkhub/hub.yaml"),
)

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
drain: 60s
agents: [{{name: tone, image: "{IMAGE}", env: {{TRIES: "{":".join(TRIES)}", GREETING: 'a "b" #c'}}}}]
"""

HUB = container.UID
"""The user of the hub."""


@pytest.fixture(scope="module")
def deployed(docker: Docker, network: tuple[Namespace, Namespace]) -> Deployed:
    made = deploy(docker, network, SPEC)
    made.compose("build", *build_arguments(), "hub")
    build_tone(docker, made.folder)
    # The agent has no variables yet, and waits for them.
    made.start()
    made.give()
    made.compose("up", "--detach")
    return made


def test_person_on_another_machine_hears_the_agent(deployed: Deployed) -> None:
    deployed.wait_registered()
    with deployed.person("greeted") as ann:
        hear_again(ann)


def test_agent_gets_its_variables_and_nothing_else_of_the_hub(deployed: Deployed) -> None:
    deployed.wait_registered()
    described = deployed.inspect()
    variables = dict(each.split("=", 1) for each in described["Config"]["Env"])
    key = dict(line.split("=", 1) for line in deployed.lkhub("env").split())
    assert variables["LIVEKIT_API_KEY"] == key["LIVEKIT_API_KEY"]
    assert (variables["LIVEKIT_URL"], variables["TRIES"]) == ("ws://127.0.0.1:7880", ":".join(TRIES))
    assert variables["GREETING"] == 'a "b" #c'
    assert described["Mounts"] == []
    # Root has no right to pass by the modes of files there.
    there = ["docker-compose", "exec", "-T", "--user", str(HUB), "hub", "test", "-e"]
    missing = [path for path in TRIES if deployed.docker.run(*there, path, cwd=deployed.folder).returncode]
    assert missing == [], "it would try what is not there"
    # Its container has none of these files, and the hub's has all.
    for word in ("REFUSED", "UNREACHED"):
        assert re.findall(rf"{word} (\S+) (\w+)$", deployed.logs, re.MULTILINE) == [(path, "ENOENT") for path in TRIES]
    status = Path(f"/proc/{described['State']['Pid']}/status").read_text()
    assert re.findall(r"^Uid:\t(\d+)", status, re.MULTILINE) == [str(UID)]
    assert {int(each, 16) for each in re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\t(\w+)$", status, re.MULTILINE)} == {0}
    assert "NoNewPrivs:\t1" in status
    assert key["LIVEKIT_API_SECRET"] not in "".join(
        path.read_text() for path in deployed.folder.iterdir() if path.suffix in (".yaml", "") and path.is_file()
    )
    assert (deployed.folder / "agent-tone.env").stat().st_mode & 0o777 == 0o600


def test_new_key_reaches_the_agent_with_a_container_and_the_call_is_finished_first(deployed: Deployed) -> None:
    before = deployed.wait_registered()
    with deployed.person("kept") as ann:
        hear_again(ann)
        deployed.lkhub("keys", "rotate")
        key = dict(line.split("=", 1) for line in deployed.lkhub("env").split())["LIVEKIT_API_KEY"]
        deployed.give()
        making = subprocess.Popen(
            ["docker-compose", "up", "--detach"],
            cwd=deployed.folder,
            env=deployed.docker.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: not deployed.list_free(), "the worker takes no more")
        hear_again(ann)
        hear_again(ann)
        assert making.poll() is None
        deployed.lkhub("rooms", "close", "kept", "--yes")
        began = time.monotonic()
        assert making.wait(90) == 0
        assert time.monotonic() - began < 45, "it ended by itself, and was not killed"
    deployed.wait_registered(but=before)
    assert f"LIVEKIT_API_KEY={key}" in deployed.inspect()["Config"]["Env"]
    with deployed.person("after") as ann:
        hear_again(ann)


def test_docker_stop_lets_the_agent_finish_its_call(deployed: Deployed) -> None:
    deployed.wait_registered()
    described = deployed.inspect()
    assert described["Config"]["StopTimeout"] == 90
    with deployed.person("stopped") as ann:
        hear_again(ann)
        stopping = subprocess.Popen(
            ["docker", "stop", described["Id"]], env=deployed.docker.environ, stdout=subprocess.DEVNULL
        )
        wait_until(lambda: not deployed.list_free(), "the worker takes no more")
        hear_again(ann)
        assert stopping.poll() is None
        deployed.lkhub("rooms", "close", "stopped", "--yes")
        assert stopping.wait(60) == 0
    assert deployed.inspect()["State"]["ExitCode"] == 0
    deployed.compose("start", "agent-tone")
    deployed.wait_registered()
