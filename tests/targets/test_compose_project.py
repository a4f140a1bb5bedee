"""An agent that is a project of uv, beside a hub in a container: uv installs it in the hub's own image."""

import shutil
from pathlib import Path

import pytest

from tests.agents.conftest import find_wheels, write_project
from tests.agents.test_agents import hear_again
from tests.kit.docker import BASE, Docker
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS
from tests.targets.deployed import Deployed, build_arguments, deploy

SPEC = f"reach: lan\nmedia: {{advertise: {ADDRESS}}}\nagents: [{{name: tone, project: tone}}]\n"

# The agent's packages come from a folder, in place of a registry.
WITH_PACKAGES = f"FROM {BASE}\nCOPY *.whl /wheels/\n"

INSTALLING = "install its dependencies"


@pytest.fixture(scope="module")
def deployed(docker: Docker, network: tuple[Namespace, Namespace]) -> Deployed:
    base, folder = docker.folder / "base", docker.folder / "hub"
    for each in (base, folder):
        each.mkdir()
    for wheel in find_wheels().glob("*.whl"):
        shutil.copy(wheel, base)
    (base / "Dockerfile").write_text(WITH_PACKAGES)
    docker.must("docker", "build", "--tag", "with-packages", ".", cwd=base)
    write_project(folder / "tone", Path("/wheels"))
    made = deploy(docker, network, SPEC)
    made.compose("build", *build_arguments("with-packages"))
    made.start()
    return made


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
