"""An agent that is a project of uv, beside a hub in a container: uv installs it in the hub's own image."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.conftest import WHEELS, write_project
from tests.agents.test_agents import hear_again
from tests.kit.docker import BASE, docker_daemon
from tests.kit.netns import Namespace
from tests.kit.wheels import make_wheels
from tests.targets.conftest import ADDRESS
from tests.targets.test_compose_images import Deployed
from tests.waiting import wait_until

SPEC = f"reach: lan\nmedia: {{advertise: {ADDRESS}}}\nagents: [{{name: tone, project: tone}}]\n"

# The agent's packages come from a folder, in place of a registry.
WITH_PACKAGES = f"FROM {BASE}\nCOPY *.whl /wheels/\n"

INSTALLING = "install its dependencies"


@pytest.fixture(scope="module")
def deployed(network: tuple[Namespace, Namespace]) -> Iterator[Deployed]:
    assert list(WHEELS.glob("livekit_agents-*.whl")), "`scripts/agent-wheels` fetches the wheels"
    with docker_daemon(network[0]) as docker:
        docker.import_base()
        docker.folder.chmod(0o711)
        base, folder = docker.folder / "base", docker.folder / "hub"
        for each in (base, folder):
            each.mkdir()
        for wheel in WHEELS.glob("*.whl"):
            shutil.copy(wheel, base)
        (base / "Dockerfile").write_text(WITH_PACKAGES)
        docker.must("docker", "build", "--tag", "with-packages", ".", cwd=base)
        (folder / "hub.yaml").write_text(SPEC)
        write_project(folder / "tone", Path("/wheels"))
        argv = [*network[0].prefix, sys.executable, "-m", "lkhub", "render", "compose", "-o", "."]
        subprocess.run(argv, cwd=folder, check=True)
        make_wheels(folder)
        made = Deployed(docker, folder, network[1])
        made.compose("build", "--build-arg", "BASE=with-packages", "--build-arg", "PIP_NO_INDEX=1")
        made.compose("up", "--detach")
        wait_until(lambda: "hub is up" in made.compose("logs", "hub"), "the hub is up")
        yield made


def test_person_on_another_machine_hears_the_agent(deployed: Deployed) -> None:
    deployed.wait_registered()
    with deployed.person("greeted") as ann:
        hear_again(ann)


def test_restarted_container_finds_what_was_installed(deployed: Deployed) -> None:
    before = deployed.wait_registered()
    assert deployed.logs.count(INSTALLING) == 1
    deployed.compose("restart", "agent-tone")
    deployed.wait_registered(but=before)
    assert deployed.logs.count(INSTALLING) == 1
    with deployed.person("after") as ann:
        hear_again(ann)
