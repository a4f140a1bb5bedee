"""How soon a person hears an agent, at the start of a call and after the agent's process was killed, beside
livekit-server with the same worker."""

import asyncio
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from livekit import api

from bench.result import Result
from bench.rounds import Run, alternate, names, values
from bench.server import Candidate, Files, engine_candidate, make_files, run_server, stock_candidate
from bench.stats import spread
from bench.stock import build_stock
from tests.documents import ROOT
from tests.kit.people import Person
from tests.waiting import wait_until

TONE = ROOT / "tests/agents/tone"
WHEELS = ROOT / "build/agent-wheels"

# Longer than the 20 s for which the participant of a killed process stays in its room.
AWAY_SECONDS = 40.0


def measure(engine: str, rounds: int) -> Result:
    """`rounds` calls with each server, in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, make_files() as files:
        python = make_environment(Path(folder))
        candidates = (engine_candidate(engine, Path(folder)), stock_candidate(build_stock(Path(folder))))
        measures = {each.name: partial(time_call, each, files, python) for each in candidates}
        runs = alternate(rounds, measures, ("first_s", "again_s"))
    return Result(
        "agent",
        f"Two workers of livekit-agents that play a tone, with one idle process each, and one participant of the "
        f"Python SDK, on the server's own cores: seconds from the join until the agent is first heard, and from "
        f"SIGKILL to the agent's process until an agent is heard again; {AWAY_SECONDS:.0f} s: not within that "
        f"time. {rounds} calls with each, in turn: median (lowest–highest).",
        runs,
        ("server", "first heard", "heard again"),
        [
            [name, f"{spread(values(runs, name, 'first_s'))} s", f"{spread(values(runs, name, 'again_s'))} s"]
            for name in names(runs)
        ],
    )


def make_environment(folder: Path) -> str:
    """An environment with livekit-agents; its Python."""
    environment = folder / "environment"
    subprocess.run(["uv", "venv", "--quiet", str(environment)], check=True)
    python = str(environment / "bin/python")
    argv = ["uv", "pip", "install", "--quiet", "--python", python, "--no-index", "--find-links", str(WHEELS)]
    subprocess.run([*argv, "livekit-agents==1.8.9", "numpy"], check=True)
    return python


def time_call(candidate: Candidate, files: Files, python: str) -> Run:
    """One call: the times until the agent is heard."""
    with run_server(candidate, files), run_worker(files, python) as one, run_worker(files, python) as two:
        return asyncio.run(_time_call(files, (one, two)))


async def _time_call(files: Files, logs: tuple[Path, Path]) -> Run:
    environ = files.environ
    token = (
        api.AccessToken(environ["LIVEKIT_API_KEY"], environ["LIVEKIT_API_SECRET"])
        .with_identity("ann")
        .with_grants(api.VideoGrants(room_join=True, room="bench"))
    )
    person = Person(environ["LIVEKIT_URL"], token.to_jwt())
    began = time.monotonic()
    await person.join()
    first = await _wait_heard(person, began)
    await asyncio.sleep(1)
    printed = "".join(log.read_text() for log in logs)
    os.kill(int(re.findall(r"^JOB \S+ (\d+)$", printed, re.MULTILINE)[-1]), signal.SIGKILL)
    killed = time.monotonic()
    known = set(person.ears)
    again = await _wait_heard(person, killed, known)
    await person.leave()
    return {"first_s": round(first - began, 2), "again_s": round(again - killed, 2)}


async def _wait_heard(person: Person, since: float, known: set[str] = frozenset()) -> float:  # type: ignore[assignment]
    """When a participant that is not `known` is first heard, or the end of the time."""
    while time.monotonic() - since < AWAY_SECONDS:
        if heard := [ear.heard[0] for who, ear in person.ears.items() if who not in known and ear.heard]:
            return min(heard)
        await asyncio.sleep(0.01)
    return since + AWAY_SECONDS


@contextmanager
def run_worker(files: Files, python: str) -> Iterator[Path]:
    """A worker that has registered; its log."""
    with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
        launcher = str(ROOT / "lkhub/agent_launcher.py")
        process = subprocess.Popen(
            [python, launcher, "agent.py", "start"],
            cwd=TONE,
            env={**os.environ, **files.environ},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: "registered worker" in Path(log.name).read_text(), "the worker")
            yield Path(log.name)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
