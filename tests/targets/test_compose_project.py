"""An agent that is a project of uv, beside a hub in a container: uv installs it in the hub's own image."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lkhub.plan.container import UID, choose_agent_uid
from tests.agents.conftest import find_wheels, write_project
from tests.agents.test_agents import hear_again
from tests.kit.docker import BASE, Docker
from tests.kit.netns import Namespace
from tests.targets.conftest import ADDRESS
from tests.targets.deployed import Deployed, build_arguments, deploy
from tests.targets.test_agent_units import REFUSALS, TRIES
from tests.waiting import wait_until

SPEC = f"""\
reach: lan
media: {{advertise: {ADDRESS}}}
agents: [{{name: tone, project: tone}}]
sites:
  - name: page
    root: page/dist
    port: 3001
    build: sh build.sh
    env: {{TOKEN: {{token: {{room: lobby, identity: visitor}}}}}}
"""

# What the build of the site tries to get at.
STATE = "/var/lib/lkhub"
FILES = ["/etc/lkhub/hub.yaml", STATE, f"{STATE}/keys.yaml", f"{STATE}/run/control.sock", "/etc/shadow", "/root"]

BUILD = f"""\
mkdir dist && echo "token: $TOKEN" >dist/index.html
CALL_SECONDS=0 timeout 20 python3 tries.py {" ".join(FILES)}
:
"""

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
    (folder / "page").mkdir()
    (folder / "page/build.sh").write_text(BUILD)
    shutil.copy(TRIES, folder / "page")
    made = deploy(docker, network, SPEC)
    made.compose("build", *build_arguments("with-packages"))
    made.start()
    return made


def test_person_on_another_machine_hears_the_agent(deployed: Deployed) -> None:
    deployed.wait_registered()
    with deployed.person("greeted") as ann:
        hear_again(ann)


def test_page_is_built_in_a_container_that_has_nothing_of_the_hub(deployed: Deployed) -> None:
    wait_until(lambda: "built, and served" in deployed.lkhub("logs", "site-page"), "the page is built")
    told = json.loads(re.findall(r"TRIED (.*)$", deployed.lkhub("logs", "site-page"), re.MULTILINE)[-1])
    assert {*told["read"].values(), *told["reached"].values()} <= REFUSALS, told
    assert (told["others"], told["rights"], told["written"]) == ([], False, [])
    assert told["uid"] not in (0, UID, choose_agent_uid("tone"))
    assert not [name for name in told["variables"] if name.startswith(("LKHUB", "CREDENTIALS"))]
    page = subprocess.run(
        [*deployed.client.prefix, "curl", "--silent", "--fail", "--insecure", f"https://{ADDRESS}:3001/"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert page.startswith("token: ey")
    codes = {each["code"] for each in json.loads(deployed.lkhub("status", "--json"))["findings"]}
    assert not {"site-build-not-apart", "site-build-failed"} & codes


def test_site_is_built_again_after_a_change(deployed: Deployed) -> None:
    build = deployed.folder / "page/build.sh"
    build.write_text(BUILD.replace("token:", "changed:"))
    said = deployed.lkhub("up", "--detach", "--no-verify")
    assert "https://" in said
    assert deployed.lkhub("logs", "site-page").count("built, and served") == 2


def test_restarted_container_finds_what_was_installed(deployed: Deployed) -> None:
    before = deployed.wait_registered()
    assert deployed.logs.count(INSTALLING) == 1
    deployed.compose("restart", "agent-tone")
    deployed.wait_registered(but=before)
    assert deployed.logs.count(INSTALLING) == 1
    with deployed.person("after") as ann:
        hear_again(ann)
