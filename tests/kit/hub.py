"""A real hub for a test, on its own ports and in its own state directory."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lkhub.findings.catalogue import choices
from lkhub.findings.catalogue.all import list_codes
from lkhub.host.control import ask
from lkhub.wire.control import StatusRequest
from tests.kit.ports import free_port
from tests.waiting import DEADLINE_SECONDS, wait_until

CHOICES = list_codes([choices]).keys()

# The machine may be a container or none, may have been started by systemd or not, and may have little space left.
OF_THE_MACHINE = {"no-systemd", "disk-nearly-full"}


@dataclass
class Hub:
    """`lkhub` with one spec and one state directory. `prefix` goes in front of every command line, to run
    it in a network namespace."""

    folder: Path
    ports: dict[str, int]
    prefix: Sequence[str] = ()
    environ: dict[str, str] = field(default_factory=dict)
    relay_ports: int = 100
    python: str = sys.executable

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def spec(self) -> Path:
        return self.folder / "hub.yaml"

    def write_spec(self, more: str = "", reach: str = "local") -> None:
        """A spec on this hub's ports; `more` are further lines of YAML."""
        first = self.ports["relay"]
        text = f"""
            reach: {reach}
            media: {{udp: {self.ports["udp"]}, signal: {self.ports["signal"]}}}
            turn: {{udp: {self.ports["turn"]}, relay: {first}-{first + self.relay_ports - 1}}}
            web: {self.ports["web"]}
            """
        self.spec.write_text(textwrap.dedent(text) + textwrap.dedent(more))

    @property
    def tls_lines(self) -> str:
        """For `write_spec`: the hub certifies itself, and its edge listens on its own ports."""
        return f"tls: {{mode: internal, listen: {self.ports['https']}, http: {self.ports['http']}}}\n"

    def run(self, *arguments: str, timeout: float = DEADLINE_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run `lkhub` to its end."""
        return subprocess.run(
            self.command(*arguments), **self.settings(), capture_output=True, text=True, timeout=timeout
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `lkhub` and leave it running."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(*arguments), **self.settings(), stdout=pipe, stderr=pipe, text=True)

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, self.python, "-m", "lkhub", *arguments]

    def up(self, *arguments: str) -> None:
        """`up --detach`, which must succeed."""
        done = self.run("up", "--detach", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        """What `lkhub status --json` says, but for what depends on the machine of the tests."""
        status = json.loads(self.run("status", "--json").stdout)
        found = [finding for finding in status["findings"] if finding["code"] not in OF_THE_MACHINE]
        return {**status, "findings": found}

    def findings(self) -> list[dict[str, Any]]:
        """What `status` says is wrong: without what the plan has chosen."""
        return [finding for finding in self.status()["findings"] if finding["code"] not in CHOICES]

    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def env(self) -> dict[str, str]:
        return json.loads(self.run("env", "--json").stdout)  # type: ignore[no-any-return]

    def token(self, room: str, identity: str) -> str:
        return self.run("token", "--room", room, "--identity", identity).stdout.strip()

    def supervisor_pid(self) -> int:
        return int(ask(str(self.state / "run/control.sock"), StatusRequest()).pid)

    def log(self, name: str) -> str:
        path = self.state / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def settings(self) -> dict[str, Any]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LKHUB_", "LIVEKIT_"))}
        environ = {**clean, "LKHUB_STATE": str(self.state), **self.environ}
        return {"cwd": self.folder, "env": environ, "stdin": subprocess.DEVNULL}


@contextmanager
def make_hub(prefix: Sequence[str] = (), ports: dict[str, int] | None = None) -> Iterator[Hub]:
    """A hub with a spec, not up yet. Whatever happens, none of its processes is left running."""
    # Not pytest's tmp_path: the name of a socket in there would be too long for the system.
    folder = Path(tempfile.mkdtemp(prefix="hub-"))
    hub = Hub(folder, ports or free_ports(), prefix)
    try:
        hub.write_spec()
        yield hub
    finally:
        hub.run("down", "--now")
        shutil.rmtree(folder, ignore_errors=True)


def kill_supervisor(hub: Hub) -> None:
    """`kill -9` of the supervisor; returns when it is gone."""
    supervisor = psutil.Process(hub.supervisor_pid())
    supervisor.kill()
    wait_until(lambda: not supervisor.is_running() or supervisor.status() == psutil.STATUS_ZOMBIE, "its end")


def free_ports() -> dict[str, int]:
    """Free ports, and the first of a hundred for the relay."""
    ports = {name: free_port() for name in ("udp", "signal", "turn", "web", "https", "http")}
    return {**ports, "relay": 20000 + ports["udp"] % 100 * 100}
