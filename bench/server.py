"""SFUs started by hand, one at a time, with the same files."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lkhub.render.livekit import merge
from tests.kit.hub import make_hub

# A start takes a tenth of a second; what is not there by then will not come.
START_SECONDS = 30.0
POLL_SECONDS = 0.002

# The engine writes its profile at an orderly stop; stock livekit-server may take for ever over one.
STOP_SECONDS = 2.0


@dataclass(frozen=True)
class Candidate:
    """One server to measure. `config` is laid over the livekit.yaml that all of them share."""

    name: str
    command: Sequence[str]
    config: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


def engine_candidate(engine: str, folder: Path, **more: Any) -> Candidate:
    """`lkhub-engine media`."""
    return Candidate("lkhub", (engine, "media", "--control", str(folder / "media.sock")), **more)


def stock_candidate(program: str) -> Candidate:
    """livekit-server as it comes."""
    return Candidate("livekit-server", (program,))


@dataclass(frozen=True)
class Files:
    """The livekit.yaml of a hub, in a folder with the key file and the secret that it names."""

    folder: Path
    config: Path
    port: int
    environ: Mapping[str, str]


@contextmanager
def make_files() -> Iterator[Files]:
    """The files that a hub with no settings of its own runs with, and how a client gets in."""
    with make_hub() as hub:
        hub.up("--no-verify")
        environ = hub.env()
        hub.run("down", "--now")
        yield Files(hub.folder, hub.state / "rendered/livekit.yaml", hub.ports["signal"], environ)


@contextmanager
def run_server(candidate: Candidate, files: Files, cpu: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers on its HTTP port, on one core if asked; killed in the end."""
    config = files.folder / "bench.yaml"
    yaml = YAML(typ="safe")
    with config.open("w") as file:
        yaml.dump(merge(yaml.load(files.config), candidate.config), file)
    command = [*pin(cpu), *candidate.command, "--config", str(config)]
    log = files.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **candidate.environ}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        wait_http(files.port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_http(port: int, process: subprocess.Popen[Any] | None = None) -> None:
    """Return at the first `200` from a server's HTTP port; RuntimeError if the process ends or none comes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() not in (None, 0):
            raise RuntimeError(f"the server ended with exit code {process.returncode}")
        if _answers(port):
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"nothing answers on port {port} after {START_SECONDS:.0f} s")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            return connection.recv(64).startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))
    except OSError:
        return False


def pin(cpu: int | None) -> list[str]:
    """What to put in front of a command to keep it on one core."""
    return [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
