"""The token endpoint, beside token servers that an application's author would write: those only sign."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.process import SERVER_CPU, run_process, wait_listening
from bench.python import ROOT, describe_python, find_python, make_environment
from bench.result import Result
from bench.stats import median
from bench.wrk import CONNECTIONS, Run, load, require_wrk
from tests.kit.hub import Hub, make_hub
from tests.kit.ports import free_port
from tests.kit.postgres import run_postgres

SOURCES = Path(__file__).parent / "tokens"

# Rooms with a capacity hold every person that the load sends.
SPEC = """
access:
  modes: [api-keys]
  roles: {speaker: {publish: [microphone], rooms: ["seated-*", "free-*"]}}
  default_role: speaker
  limits: {caller: 1000000/second, address: 1000000/second, room: 1000000/second}
rooms:
- {match: "seated-*", capacity: 100, overflow: subrooms}
"""


@dataclass(frozen=True)
class Target:
    """One endpoint. `key` is an API key of the hub, and `rooms` the first part of the rooms' names."""

    name: str
    url: str
    key: str = ""
    rooms: str = "room"


def measure(rounds: int, seconds: int) -> Result:
    """Every target in turn, `rounds` times, on one core."""
    require_wrk()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        targets = [stack.enter_context(start(folder)) for start in (_express, _flask, _fastapi)]
        python = make_environment(folder / "lkhub", ROOT / "requirements/run.txt") / "python"
        targets += stack.enter_context(_hub("sqlite", python))
        targets += stack.enter_context(_hub(stack.enter_context(run_postgres()).create(), python))
        for target in targets:
            _load(target, 2)
        runs = [_load(target, seconds) for _ in range(rounds) for target in targets]
    return Result(
        "token",
        f"Token requests per second on one core: {CONNECTIONS} connections that are kept, of 2,000 people for 100 "
        f"rooms; {rounds} runs of {seconds} s each, in turn. The hub checks an API key, a role and three limits, "
        "reserves a seat on the disk where the room has a capacity, and writes its audit log; the others only sign. "
        f"Python {describe_python(find_python())}, Node.js {_node()}. Medians.",
        [asdict(run) for run in runs],
        ("server", "requests/s", "ratio to Express", "p50", "p99", "errors"),
        list(_rows(targets, runs)),
    )


def _rows(targets: Sequence[Target], runs: Sequence[Run]) -> Iterator[Sequence[str]]:
    express = median([run.per_second for run in runs if run.target == targets[0].name])
    for target in targets:
        own = [run for run in runs if run.target == target.name]
        rate = median([run.per_second for run in own])
        yield (
            target.name,
            f"{rate:,.0f}",
            f"{rate / express:.2f}",
            f"{median([run.p50_ms for run in own]):.1f} ms",
            f"{median([run.p99_ms for run in own]):.1f} ms",
            str(sum(run.errors for run in own)),
        )


def _load(target: Target, seconds: int) -> Run:
    return load(target.name, target.url, "tokens/load.lua", seconds, target.key, target.rooms)


@contextmanager
def _server(
    name: str, command: Callable[[int], Sequence[str]], folder: Path, environ: Mapping[str, str]
) -> Iterator[Target]:
    port = free_port()
    variables = {"LIVEKIT_API_KEY": "APIbench", "LIVEKIT_API_SECRET": "x" * 40, "LIVEKIT_URL": "ws://127.0.0.1:7880"}
    with run_process(
        command(port), folder / f"{name.split()[0]}.log", SERVER_CPU, {**variables, "PORT": str(port), **environ}
    ) as process:
        wait_listening(port, process)
        yield Target(name, f"http://127.0.0.1:{port}/token")


@contextmanager
def _express(folder: Path) -> Iterator[Target]:
    own = shutil.copytree(SOURCES / "express", folder / "express")
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=own, check=True)
    environ = {"NODE_ENV": "production"}
    with _server("Express 5 + livekit-server-sdk", lambda _: ["node", str(own / "server.mjs")], folder, environ) as it:
        yield it


def _node() -> str:
    return subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout.strip().lstrip("v")


def _python(folder: Path) -> Path:
    """The programs of a virtual environment with both Python servers."""
    made = folder / "others"
    return made / "bin" if made.exists() else make_environment(made, SOURCES / "requirements.txt")


@contextmanager
def _flask(folder: Path) -> Iterator[Target]:
    gunicorn = str(_python(folder) / "gunicorn")
    options = ["--workers", "1", "--threads", "8", "--keep-alive", "75", "--chdir", str(SOURCES)]
    with _server(
        "Flask + gunicorn + livekit-api",
        lambda port: [gunicorn, *options, "--bind", f"127.0.0.1:{port}", "flask_app:app"],
        folder,
        {},
    ) as it:
        yield it


@contextmanager
def _fastapi(folder: Path) -> Iterator[Target]:
    uvicorn = str(_python(folder) / "uvicorn")
    options = ["--app-dir", str(SOURCES), "--no-access-log"]
    with _server(
        "FastAPI + uvicorn + livekit-api",
        lambda port: [uvicorn, *options, "--port", str(port), "fastapi_app:app"],
        folder,
        {},
    ) as it:
        yield it


@contextmanager
def _hub(store: str, python: Path) -> Iterator[list[Target]]:
    """A hub, with a room that has a capacity and one that has none."""
    with make_hub() as hub:
        hub.python = str(python)
        spec = "" if store == "sqlite" else f"store: {json.dumps(store.replace('+psycopg', ''))}\n"
        hub.write_spec(SPEC + spec)
        hub.up("--no-verify")
        key = _create_key(hub)
        for thread in psutil.Process(hub.pids()["serve"]).threads():
            os.sched_setaffinity(thread.id, {SERVER_CPU})
        kind = "SQLite" if store == "sqlite" else "PostgreSQL"
        url = f"http://127.0.0.1:{hub.ports['web']}/api/livekit/token"
        yield [
            Target(f"lkhub, a seat in a room with a capacity, {kind}", url, key, "seated"),
            Target(f"lkhub, a room without capacity, {kind}", url, key, "free"),
        ]


def _create_key(hub: Hub) -> str:
    done = hub.run("access", "create", "bench")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
