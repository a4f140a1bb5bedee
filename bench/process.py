"""Programs started by hand: optionally on one core, with a wait until they are ready, and ended afterwards."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

# The server has one core to itself, and the load the other, so they do not slow each other down.
SERVER_CPU, LOAD_CPU = 0, 1

# A start takes a tenth of a second; a program that is not ready after this time will not become ready.
START_SECONDS = 30.0
POLL_SECONDS = 0.002

# The engine writes its profile at an orderly stop; stock livekit-server may never finish one.
STOP_SECONDS = 2.0


@contextmanager
def run_process(
    command: Sequence[str], log: Path, cpu: int | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[psutil.Popen]:
    """A program for as long as the block runs; its output goes into `log`."""
    with log.open("wb") as output:
        process = psutil.Popen(
            [*pin(cpu), *command],
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # as services and hubs: the scheduler shares CPUs by session
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


def wait_http(where: int | Path, process: psutil.Popen | subprocess.Popen[Any] | None = None) -> None:
    """Return at the first `200` from a port of 127.0.0.1, or from an engine's control socket, which answers so when the
    engine is ready. Raises RuntimeError if the process ends or no `200` comes."""
    _wait_for(lambda: _answers(where), f"200 from {where}", process)


def wait_listening(port: int, process: psutil.Popen) -> None:
    """Return when the process has bound the port. Raises RuntimeError if it ends or does not bind it."""
    _wait_for(lambda: any(bound.laddr.port == port for bound in _bound(process)), f"port {port}", process)


def _wait_for(ready: Callable[[], bool], what: str, process: psutil.Popen | subprocess.Popen[Any] | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process is not None and process.poll() not in (None, 0):
            raise RuntimeError(f"the server ended with exit code {process.returncode}")
        if ready():
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"no {what} after {START_SECONDS:.0f} s")


def _answers(where: int | Path) -> bool:
    family, path = (socket.AF_UNIX, "/ready") if isinstance(where, Path) else (socket.AF_INET, "/")
    try:
        with socket.socket(family) as connection:
            connection.settimeout(START_SECONDS)
            connection.connect(str(where) if isinstance(where, Path) else ("127.0.0.1", where))
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            return connection.recv(64).startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))
    except OSError:
        return False


def _bound(process: psutil.Process) -> list[Any]:
    try:
        return [each for each in process.net_connections("inet") if not each.raddr]
    except psutil.NoSuchProcess:
        return []


def pin(cpu: int | None) -> list[str]:
    """The prefix of a command that keeps it on one core."""
    return [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
