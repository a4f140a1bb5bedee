"""A hub whose processes are actors."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from lkhub.host import processes
from lkhub.plan.build import build_plan
from lkhub.plan.model import Fingerprint, Listener, ProcessName, ProcessPlan, Ready
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.load import load_spec
from lkhub.supervise import child, ending, supervisor
from lkhub.supervise.child import Child
from lkhub.supervise.doors import Doors
from lkhub.supervise.guard import Guard
from lkhub.supervise.supervisor import Supervisor
from tests.machines import make_facts, make_installation
from tests.waiting import DEADLINE_SECONDS

ACTOR = str(Path(__file__).parent / "actor.py")
CONFIGS: dict[ProcessName, str] = {
    "media": "livekit.yaml",
    "relay": "relay.json",
    "serve": "serve.json",
    "edge": "caddy.json",
}

# One person in a room, and a probe that does not count.
IN_A_CALL = [{"name": "lobby", "participants": 2}, {"name": "lkhub-verify-udp", "participants": 2}]

MakeHub = Callable[..., PreparedHub]


@pytest.fixture
def paths(short_dir: Path) -> StatePaths:
    """An empty state directory."""
    paths = StatePaths(str(short_dir / "s"))
    for folder in (paths.root, paths.rendered, paths.run, paths.logs):
        Path(folder).mkdir(mode=0o700)
    return paths


@pytest.fixture
def said() -> list[str]:
    """What children and supervisors say; a test passes its `append`."""
    return []


@asynccontextmanager
async def supervising(paths: StatePaths, said: list[str], *, leave: bool = False) -> AsyncIterator[Supervisor]:
    """A supervisor that stops everything in the end, or with `leave` is gone as if it were killed."""
    async with anyio.create_task_group() as tasks:
        supervisor = Supervisor(paths, said.append, tasks)
        with anyio.fail_after(30):
            yield supervisor
            if leave:
                close_controls(supervisor.doors)
            else:
                await supervisor.stop("now")
        tasks.cancel_scope.cancel()


def close_controls(doors: Doors) -> None:
    """As the kernel does when a supervisor is killed: the sockets' files stay."""
    for control in doors._controls.values():
        control.socket.close()


def watch(supervisor: Supervisor, look: Callable[[], Awaitable[object]]) -> Guard:
    """Look again and again, as a hub that runs does."""
    guard = Guard(supervisor.say)
    supervisor.tasks.start_soon(guard.watch, "look", look, 0.01)
    return guard


def list_running(paths: StatePaths) -> list[psutil.Process]:
    """Actors of this state directory that are alive."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        mine = any(word.startswith(f"{paths.rendered}/") for word in process.info["cmdline"] or ())
        if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def pids(supervisor: Supervisor) -> dict[str, int | None]:
    return {name: child.process.pid if child.process else None for name, child in supervisor.children.items()}


def states(supervisor: Supervisor) -> dict[str, str]:
    return {name: child.state for name, child in supervisor.children.items()}


def plan_actor(paths: StatePaths, name: ProcessName) -> ProcessPlan:
    config, control = paths.render(CONFIGS[name]), paths.socket(name)
    argv = (sys.executable, "-ISs", ACTOR, "--config", config, "--control", control)
    return ProcessPlan(name, argv, (config,), Ready(socket=control), name != "serve", reloads=name == "edge")


@pytest.fixture
def make_hub(paths: StatePaths) -> MakeHub:
    """A prepared hub of actors: `make_hub(media={"say": "…"}, serve={})`. By default three without an edge,
    well-behaved. `program` is what their programs and arguments are."""

    def make(listeners: tuple[Listener, ...] = (), program: str = "actor", **configs: dict[str, Any]) -> PreparedHub:
        configs = configs or {"media": {}, "relay": {}, "serve": {}}
        plan = build_plan(load_spec(b""), make_facts(), make_installation(paths.root))
        assert plan is not None
        names = [name for name in CONFIGS if name in configs]
        actors = tuple(plan_actor(paths, name) for name in names)
        texts: dict[str, str] = {name: json.dumps(configs[name]) for name in names}
        return PreparedHub(
            plan=replace(plan, processes=actors, listeners=listeners),
            spec=None,
            raw=b"",
            files={paths.render(CONFIGS[name]): texts[name] for name in names},
            fingerprints={name: Fingerprint(program, text) for name, text in texts.items()},
            environ={},
        )

    return make


PRINT = Fingerprint("program", "files")

MakeChild = Callable[..., Child]


@pytest.fixture
def make_child(paths: StatePaths, said: list[str]) -> MakeChild:
    """`make_child(exit=3, say="…")`: a child whose actor behaves so."""

    def make(**config: Any) -> Child:
        write_config(paths, **config)
        return Child(plan_actor(paths, "media"), PRINT, paths, Doors(), said.append, ignore)

    return make


async def ignore(_: Child) -> None:
    """Nobody has to hear that a child is there again."""


def write_config(paths: StatePaths, **config: Any) -> None:
    Path(paths.render("livekit.yaml")).write_text(json.dumps(config))


@asynccontextmanager
async def tasks() -> AsyncIterator[anyio.abc.TaskGroup]:
    async with anyio.create_task_group() as group:
        with anyio.fail_after(20):
            yield group
        group.cancel_scope.cancel()


def pid(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


@pytest.fixture(autouse=True)
def _no_endless_wait() -> Iterator[None]:
    """Who asks a supervisor that never answers fails, and does not hang."""
    socket.setdefaulttimeout(DEADLINE_SECONDS)
    yield
    socket.setdefaulttimeout(None)


@pytest.fixture(autouse=True)
def _reaped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a supervisor that is gone has left running ends with the test."""
    started: list[subprocess.Popen[bytes]] = []
    start = processes.start

    def start_and_note(*arguments: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments))
        return started[-1]

    monkeypatch.setattr(processes, "start", start_and_note)
    yield
    for popen in started:
        if popen.poll() is None:
            popen.kill()
        popen.wait()


@pytest.fixture(autouse=True)
def _doors_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The control sockets of children without a supervisor end with the test."""
    made: list[Doors] = []
    init = Doors.__init__

    def note(doors: Doors) -> None:
        init(doors)
        made.append(doors)

    monkeypatch.setattr(Doors, "__init__", note)
    yield
    for doors in made:
        close_controls(doors)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors are ready or gone in milliseconds; what a test waits out is short."""
    monkeypatch.setattr(ending, "STOP_GRACE_SECONDS", 0.1)
    monkeypatch.setattr(ending, "SECOND_SIGNAL_SECONDS", 0.1)
    monkeypatch.setattr(child, "WATCH_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "REJOIN_SECONDS", 0.05)
