"""A hub and the agent `tone` in containers, by the rendered compose file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.docker import BASE, Docker
from tests.kit.netns import Namespace
from tests.kit.person import TakingPart, taking_part
from tests.kit.wheels import make_wheels
from tests.targets.conftest import ADDRESS
from tests.waiting import wait_until

# Python compiles what the worker imports, beside a hub that starts.
REGISTERING_SECONDS = 180

# With the build of a site, and what it tries.
STARTING_SECONDS = 120


def render_compose(machine: Namespace, folder: Path, **variables: str) -> None:
    """Write beside the spec in a folder what `lkhub render compose` writes, and the wheels that its image installs."""
    named = [f"{name}={value}" for name, value in variables.items()]
    render = [sys.executable, "-m", "lkhub", "render", "compose", "-o", "."]
    subprocess.run([*machine.prefix, "env", *named, *render], cwd=folder, check=True)
    make_wheels(folder)


def build_arguments(base: str = BASE) -> tuple[str, ...]:
    """Those with which the hub's image is built on this machine."""
    return ("--build-arg", f"BASE={base}", "--build-arg", "PIP_NO_INDEX=1")


@dataclass(frozen=True)
class Deployed:
    """A hub and an agent that run by the compose file in `folder`."""

    docker: Docker
    folder: Path
    client: Namespace

    def start(self) -> None:
        """Return when the hub is up. The agent may still be starting."""
        self.compose("up", "--detach")
        try:
            wait_until(lambda: "hub is up" in self.compose("logs", "hub"), "the hub is up", STARTING_SECONDS)
        except AssertionError as error:
            raise AssertionError(self.compose("logs", "--no-color")) from error

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


def deploy(docker: Docker, network: tuple[Namespace, Namespace], spec: str) -> Deployed:
    """Write the spec and what is rendered of it. Nothing is built or started yet."""
    folder = docker.folder / "hub"
    folder.mkdir(exist_ok=True)
    (folder / "hub.yaml").write_text(spec)
    render_compose(network[0], folder)
    return Deployed(docker, folder, network[1])
