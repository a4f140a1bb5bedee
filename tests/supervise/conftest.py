"""A hub whose processes are actors."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

import anyio
import psutil
import pytest

from lkhub.host import processes
from lkhub.host.lock import Lock
from lkhub.plan.build import build_plan
from lkhub.plan.model import Listener
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, Health, ProcessPlan, Resumed
from lkhub.prepare.hub import PreparedHub
from lkhub.source.typed import pack
from lkhub.spec.load import load_spec
from lkhub.supervise.answering import Answering
from lkhub.supervise.child import Child
from lkhub.supervise.held import HeldSockets
from lkhub.supervise.report import report_hub
from lkhub.supervise.shared import Shared
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.timings import Timings
from lkhub.supervise.watch.guard import Guard
from lkhub.supervise.watch.watchers import Watchers
from tests.machines import make_facts, make_installation
from tests.waiting import DEADLINE_SECONDS

ACTOR = str(Path(__file__).parent / "actor.py")
CONFIGS: dict[str, str] = {
    "media": "livekit.yaml",
    "relay": "relay.json",
    "serve": "serve.json",
    "edge": "caddy.json",
}

# As lkhub/plan/processes.py has them.
ROLES: dict[str, dict[str, Any]] = {
    "media": {
        "carries_calls": True,
        "knows_participants": True,
        "sees_clients": True,
        "stop_order": 0,
        "drain": 30,
    },
    "relay": {"carries_calls": True, "sees_clients": True},
    "serve": {},
    "edge": {"carries_calls": True, "sees_clients": True, "reloads": True},
}

# Actors are ready or gone in milliseconds; what a test waits out is short.
QUICK = Timings(lock=0.1, stop_grace=0.1, second_signal=0.1, watch_again=0.01, rejoin=0.05)

# One person in a room, and a probe that does not count.
# A program that holds a port: its number, and 1 for TCP or 2 for UDP.
HOLD = "import socket, sys, signal; s = socket.socket(2, int(sys.argv[2])); s.bind(('127.0.0.1', int(sys.argv[1])))"
HOLD += "; int(sys.argv[2]) == 1 and s.listen(); print('holds', flush=True); signal.pause()"

IN_A_CALL = [{"name": "lobby", "participants": 2}, {"name": "lkhub-verify-udp", "participants": 2}]

MakeHub = Callable[..., PreparedHub]


@pytest.fixture
def said() -> list[str]:
    """What children and supervisors say; a test passes its `append`."""
    return []


@asynccontextmanager
async def supervising(
    paths: StatePaths, said: list[str], timings: Timings = QUICK, *, leave: bool = False
) -> AsyncIterator[Supervisor]:
    """A supervisor that stops everything in the end, or with `leave` is gone as if it were killed. Its watchers do not
    look by themselves: see `watchers_of`."""
    async with anyio.create_task_group() as tasks:
        supervisor = Supervisor(paths, said.append, tasks, timings)
        _watchers[supervisor] = Watchers(supervisor, cast(Lock, None), cast(Answering, None))
        with anyio.fail_after(30):
            yield supervisor
            if leave:
                close_controls(supervisor.shared.held)
            else:
                await supervisor.stop("now")
        tasks.cancel_scope.cancel()


_watchers: WeakKeyDictionary[Supervisor, Watchers] = WeakKeyDictionary()


def watchers_of(supervisor: Supervisor) -> Watchers:
    """The children of a supervisor of `supervising`."""
    return _watchers[supervisor]


def status_of(supervisor: Supervisor) -> dict[str, Any]:
    """What `status` tells, without what processes say of themselves."""
    said: dict[str, Any] = pack(report_hub(supervisor, watchers_of(supervisor)))
    return said


def close_controls(held: HeldSockets) -> None:
    """As the kernel does when a supervisor is killed: the sockets' files stay."""
    for control in held._controls.values():
        control.socket.close()


def watch(supervisor: Supervisor, look: Callable[[], Awaitable[object]]) -> Guard:
    """Look again and again, as a hub that runs does."""
    guard = Guard(supervisor.say, supervisor.shared.timings)
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


def plan_actor(paths: StatePaths, name: str) -> ProcessPlan:
    config, control = paths.render(CONFIGS[name]), paths.socket(name)
    argv = (sys.executable, "-ISs", ACTOR, "--config", config, "--control", control)
    plan = ProcessPlan(name, argv, Health(socket=control), files=(config,))
    resumes = (Resumed("relay", paths.render(CONFIGS["relay"])),) if name == "media" else ()
    return replace(plan, resumes=resumes, **ROLES[name])


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
            network=make_facts(),
        )

    return make


@pytest.fixture
def calls(paths: StatePaths) -> Path:
    """The calls of a process that another one replaces are over when this file is there."""
    return Path(paths.root, "calls-are-over")


PRINT = Fingerprint("program", "files")

MakeChild = Callable[..., Child]


@pytest.fixture
def make_child(paths: StatePaths, said: list[str]) -> MakeChild:
    """`make_child(exit=3, say="…")`: a child whose actor behaves so."""

    def make(**config: Any) -> Child:
        write_config(paths, **config)
        return Child(plan_actor(paths, "media"), PRINT, Shared(paths, said.append, timings=QUICK))

    return make


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
    """A request to a supervisor that never answers fails, and does not hang."""
    socket.setdefaulttimeout(DEADLINE_SECONDS)
    yield
    socket.setdefaulttimeout(None)


@pytest.fixture(autouse=True)
def _reaped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a supervisor that is gone has left running ends with the test."""
    started: list[subprocess.Popen[bytes]] = []
    start = processes.start

    def start_and_note(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(processes, "start", start_and_note)
    yield
    for popen in started:
        if popen.poll() is None:
            popen.kill()
        popen.wait()


@pytest.fixture(autouse=True)
def _sockets_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The control sockets of children without a supervisor end with the test."""
    made: list[HeldSockets] = []
    init = HeldSockets.__init__

    def note(held: HeldSockets) -> None:
        init(held)
        made.append(held)

    monkeypatch.setattr(HeldSockets, "__init__", note)
    yield
    for held in made:
        close_controls(held)
