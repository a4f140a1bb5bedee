"""wrk: as many requests as a server takes, on connections that are kept."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.process import LOAD_CPU, pin

CONNECTIONS = 64

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """One measured time of one target."""

    target: str
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def require_wrk() -> None:
    """End the program where wrk is not installed."""
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: apt-get install wrk")


def load(target: str, url: str, script: str, seconds: int, *arguments: str) -> Run:
    """Requests on all connections for some seconds, from a core of its own. `script` is a file in this folder: what it
    prints at the end is in summary.lua. `arguments` are for the script."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, url, "--", *arguments]
    done = subprocess.run([*pin(LOAD_CPU), *command], check=True, capture_output=True, text=True, cwd=_FOLDER)
    found = json.loads(done.stdout.splitlines()[-1])
    rate = found["requests"] / found["seconds"]
    return Run(target, found["requests"], rate, found["p50_ms"], found["p99_ms"], found["errors"])
