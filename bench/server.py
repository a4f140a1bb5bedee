"""A hub's files, and SFUs started by hand with them, one at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from bench.process import run_process, wait_http
from lkhub.render.livekit import merge
from tests.kit.hub import Hub, make_hub


@dataclass(frozen=True)
class Candidate:
    """One server to measure. `config` is merged into the livekit.yaml that all of them share."""

    name: str
    command: Sequence[str]
    config: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


def engine_candidate(engine: str, folder: Path, **more: Any) -> Candidate:
    """`lkhub-engine media`."""
    return Candidate("lkhub", (engine, "media", "--control", str(folder / "media.sock")), **more)


def stock_candidate(program: str, **more: Any) -> Candidate:
    """Unmodified livekit-server."""
    return Candidate("livekit-server", (program,), **more)


@dataclass(frozen=True)
class Files:
    """A hub that has been up once and is down again: its files, and how a client connects."""

    hub: Hub
    environ: Mapping[str, str]

    @property
    def folder(self) -> Path:
        return self.hub.folder

    @property
    def ports(self) -> Mapping[str, int]:
        return self.hub.ports

    def rendered(self, name: str) -> Path:
        """A configuration file. It may name files with keys, secrets and certificates beside it."""
        return self.hub.state / "rendered" / name


@contextmanager
def make_files(tls: bool = False) -> Iterator[Files]:
    """The files of a hub for this machine with no settings of its own, or with an edge."""
    with make_hub() as hub:
        hub.write_spec(hub.tls_lines if tls else "")
        hub.up("--no-verify")
        environ = hub.env()
        hub.run("down", "--now")
        yield Files(hub, environ)


@contextmanager
def run_server(candidate: Candidate, files: Files, cpu: int | None = None) -> Iterator[psutil.Popen]:
    """A server that answers on its HTTP port, optionally on one core; killed afterwards."""
    config = files.folder / "bench.yaml"
    yaml = YAML(typ="safe")
    with config.open("w") as file:
        yaml.dump(merge(yaml.load(files.rendered("livekit.yaml")), candidate.config), file)
    command = [*candidate.command, "--config", str(config)]
    with run_process(command, files.folder / "server.log", cpu, candidate.environ) as process:
        wait_http(files.ports["signal"], process)
        yield process
