"""An agent that is an image of its own, beside a hub in a container: the guide's Dockerfile and the rendered compose
file, on a Docker daemon."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan import container
from tests.agents.conftest import WHEELS, write_project
from tests.agents.test_agents import hear_again
from tests.documents import ROOT, list_blocks
from tests.kit.docker import BASE, Docker, docker_daemon
from tests.kit.netns import Namespace
from tests.kit.person import TakingPart, taking_part
from tests.kit.wheels import make_wheels
from tests.targets.conftest import ADDRESS
from tests.waiting import wait_until

IMAGE = "registry.example/tone:1"

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

# What any image of Python has: pip, and here packages without a registry.
PYTHON = f"""\
FROM {BASE}
COPY *.whl /wheels/
RUN python3 -m venv /opt/pip
ENV PATH=/opt/pip/bin:$PATH PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
"""

# Python compiles what the worker imports, beside a hub that starts.
REGISTERING_SECONDS = 180

# The user of the hub, and that of the guide's image.
HUB = container.UID
UID = 20000


@dataclass(frozen=True)
class Deployed:
    """A hub and an agent that run by the compose file in `folder`."""

    docker: Docker
    folder: Path
    client: Namespace

    def compose(self, *argv: str) -> str:
        return self.docker.must("docker-compose", *argv, cwd=self.folder)

    def lkhub(self, *argv: str) -> str:
        return self.compose("exec", "-T", "hub", "lkhub", *argv)

    def give(self) -> None:
        """Write the variables of the agent as the hub prints them, and have compose see them."""
        (self.folder / "agent-tone.env").write_text(self.lkhub("agents", "env", "tone"))

    def list_free(self) -> list[str]:
        """The workers that take rooms."""
        agents = json.loads(self.lkhub("agents", "list", "--json"))["agents"]
        return [row["worker"]["id"] for row in agents if row["worker"] and row["worker"]["free"]]

    def wait_registered(self, but: str = "") -> str:
        """The id of the one worker that takes rooms, once it is another one than `but`."""

        def find() -> str:
            return next((worker for worker in self.list_free() if worker != but), "")

        return wait_until(find, f"a worker: {self.logs}", REGISTERING_SECONDS)

    @property
    def logs(self) -> str:
        return self.docker.must("docker-compose", "logs", "--no-color", "agent-tone", cwd=self.folder)

    def inspect(self) -> dict[str, Any]:
        agent = self.compose("ps", "--quiet", "agent-tone").strip()
        return json.loads(self.docker.must("docker", "inspect", agent))[0]  # type: ignore[no-any-return]

    @property
    def root(self) -> str:
        """The hub's root certificate, as this machine sees it."""
        [state] = [name for name in self.docker.must("docker", "volume", "ls", "--quiet").split() if "state" in name]
        return f"{self.docker.folder}/data/volumes/{state}/_data/ca/root.crt"

    @contextmanager
    def person(self, room: str) -> Iterator[TakingPart]:
        """A person in a room, on another machine."""
        token = self.lkhub("token", "--room", room, "--identity", "ann").strip()
        prefix = [*self.client.prefix, "env", f"SSL_CERT_FILE={self.root}"]
        with taking_part(prefix, f"wss://{ADDRESS}", token) as made:
            yield made


def read_dockerfile() -> str:
    """The one that the guide shows, on this image of Python."""
    [shown] = [block.text for block in list_blocks(ROOT / "docs/guides/agents.md") if block.language == "dockerfile"]
    return re.sub(r"^FROM .*$", "FROM python", shown, count=1, flags=re.MULTILINE)


def build_agent(docker: Docker) -> None:
    base, folder = docker.folder / "python", docker.folder / "tone"
    base.mkdir()
    for wheel in [*WHEELS.glob("*.whl"), *(docker.folder / "hub").glob("uv-*.whl")]:
        shutil.copy(wheel, base)
    (base / "Dockerfile").write_text(PYTHON)
    docker.must("docker", "build", "--tag", "python", ".", cwd=base)
    write_project(folder, Path("/wheels"))
    (folder / "Dockerfile").write_text(read_dockerfile())
    docker.must("docker", "build", "--tag", IMAGE, ".", cwd=folder)


@pytest.fixture(scope="module")
def deployed(network: tuple[Namespace, Namespace]) -> Iterator[Deployed]:
    assert list(WHEELS.glob("livekit_agents-*.whl")), "`scripts/agent-wheels` fetches the wheels"
    with docker_daemon(network[0]) as docker:
        docker.import_base()
        docker.folder.chmod(0o711)
        folder = docker.folder / "hub"
        folder.mkdir()
        (folder / "hub.yaml").write_text(SPEC)
        argv = [*network[0].prefix, sys.executable, "-m", "lkhub", "render", "compose", "-o", "."]
        subprocess.run(argv, cwd=folder, check=True)
        make_wheels(folder)
        made = Deployed(docker, folder, network[1])
        made.compose("build", "--build-arg", f"BASE={BASE}", "--build-arg", "PIP_NO_INDEX=1", "hub")
        build_agent(docker)
        # The agent has no variables yet, and waits for them.
        made.compose("up", "--detach")
        wait_until(lambda: "hub is up" in made.compose("logs", "hub"), "the hub is up")
        made.give()
        made.compose("up", "--detach")
        yield made


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
