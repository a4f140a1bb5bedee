"""How a process of this hub is known again by another supervisor: its record on disk, and its mark.

The record has everything. The mark, a variable in the process's environment, tells of a process whose record is lost
that it is one of ours: no program of somebody else's has it, whatever stands on its command line.
"""

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from functools import cache

from pydantic import TypeAdapter

from lkhub.errors import MachineError
from lkhub.host import files, processes
from lkhub.host.processes import MARK, ProcessId, Running
from lkhub.plan.model import PROCESS_NAMES, Fingerprint, ProcessName, ProcessPlan, Ready
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import load_applied

# The rendered file on each process's command line.
CONFIGS: dict[ProcessName, str] = {
    "media": "livekit.yaml",
    "relay": "relay.json",
    "serve": "serve.json",
    "edge": "caddy.json",
}


_MARK = TypeAdapter(tuple[ProcessName, str, str, str])
"""Name, fingerprint and state directory."""


@dataclass(frozen=True)
class Identity:
    """A process on disk: its pid and start, which version of the plan it runs, since when (epoch seconds), and how
    the files that it watches were when it took them."""

    process: ProcessId
    plan: ProcessPlan
    fingerprint: Fingerprint
    since: float
    taken: tuple[str, ...] = ()

    def dump(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def parse(text: str) -> "Identity":
        """Raises ValueError where the text is not one of ours."""
        return _read_identity().validate_json(text)


@cache
def _read_identity() -> TypeAdapter[Identity]:
    """Making it costs more than a hundred readings, and records are looked at every two seconds."""
    return TypeAdapter(Identity)


@dataclass(frozen=True)
class Found:
    """A process of this hub that runs, since when (epoch seconds). `identity` is None where it is on no record, and
    nothing says how it would be asked."""

    name: ProcessName
    process: ProcessId
    since: float
    identity: Identity | None


def read_record(paths: StatePaths, name: str) -> Identity | None:
    """The process on record; None where there is no record, or where it can't be read."""
    try:
        text = files.read_text(paths.record(name))
        return Identity.parse(text) if text else None
    except (ValueError, MachineError):
        return None


def write_record(paths: StatePaths, identity: Identity) -> None:
    """Raises MachineError where it can't be written."""
    files.write_private(paths.record(identity.plan.name), identity.dump())


def remove_record(paths: StatePaths, name: str, process: ProcessId) -> None:
    """Remove the record of this process. That of another one stays.

    One that can't be removed names a process that is gone, which does no harm.
    """
    with contextlib.suppress(MachineError):
        identity = read_record(paths, name)
        if identity is not None and identity.process == process:
            files.remove(paths.record(name))


def mark(paths: StatePaths, name: ProcessName, fingerprint: Fingerprint) -> dict[str, str]:
    """The environment variable that marks a process of this hub."""
    return {MARK: json.dumps([name, *fingerprint, os.path.realpath(paths.root)])}


def find_running(paths: StatePaths) -> list[Found]:
    """The processes of this hub that run: those on record, and those that have its mark.

    What such a process has started itself, as a script that is `engine`, is not told apart from it.
    """
    found: list[Found] = []
    for name in PROCESS_NAMES:
        identity = read_record(paths, name)
        if identity is not None and _is_here(paths, identity) and processes.is_alive(identity.process):
            found.append(Found(name, identity.process, identity.since, identity))
    known = {each.process.pid for each in found}
    # The first process of a session before what it has started itself.
    for running in sorted(processes.list_running(), key=lambda running: running.session != running.process.pid):
        name_and_print = _recognise(paths, running)
        if name_and_print is None or not processes.means_the_same(paths.root, running.process.pid):
            continue
        if running.process.pid not in known and running.session not in known:
            name, fingerprint = name_and_print
            identity = _reconstruct(paths, name, fingerprint, running)
            found.append(Found(name, running.process, running.since, identity))
            known.add(running.process.pid)
    return found


def _is_here(paths: StatePaths, identity: Identity) -> bool:
    """Whether it runs with this state directory. A copy of one has the records of another hub's processes."""
    config = os.path.realpath(paths.render(CONFIGS[identity.plan.name]))
    return any(os.path.realpath(word) == config for word in identity.plan.argv if os.path.isabs(word))


def _recognise(paths: StatePaths, running: Running) -> tuple[ProcessName, Fingerprint] | None:
    """Which process of this hub it is, and of which version; None for one that is not."""
    if running.mark is not None:
        try:
            name, program, texts, root = _MARK.validate_json(running.mark)
        except ValueError:
            return None  # another version's
        return (name, Fingerprint(program, texts)) if root == os.path.realpath(paths.root) else None
    # The system hides the environment of a program that has a file capability (`setcap`). Only a supervisor of
    # this state directory starts the engine with these words.
    for name, config in CONFIGS.items():
        if running.argv[1:6] == (name, "--config", paths.render(config), "--control", paths.socket(name)):
            return name, Fingerprint("", "")
    return None


def _reconstruct(paths: StatePaths, name: ProcessName, fingerprint: Fingerprint, running: Running) -> Identity | None:
    """What stood on the record of a process, by its command line. Of its files nothing is known: it is compared by its
    fingerprint alone."""
    ready = _find_ready(paths, name, running.argv)
    if ready is None or running.session != running.process.pid:
        return None
    plan = ProcessPlan(name, _without_doors(running.argv), (), ready, name != "serve", reloads=name == "edge")
    return Identity(running.process, replace(plan, drain=_find_drain(paths, running.argv)), fingerprint, running.since)


def _find_drain(paths: StatePaths, argv: tuple[str, ...]) -> int:
    """Media of the first version had it among its arguments; else it is what is in force."""
    if own := re.search(r"--drain (\d+)s", " ".join(argv)):
        return int(own[1])
    drain = (load_applied(paths) or {}).get("drain")
    return drain if isinstance(drain, int) and drain >= 0 else ProcessPlan.drain


def _find_ready(paths: StatePaths, name: ProcessName, argv: tuple[str, ...]) -> Ready | None:
    if "--control" in argv:
        return Ready(socket=paths.socket(name))
    urls = (load_applied(paths) or {}).get("urls", {})
    if name == "media" and "local_media" in urls:
        return Ready(url=f"{urls['local_media']}/")
    if name == "serve" and "local_serve" in urls:
        return Ready(url=f"{urls['local_serve']}/api/hub")
    return None


def _without_doors(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The words as the plan had them: descriptors are added at each start."""
    added = [argv.index(word) for word in ("--listen-fd", "--control-fd") if word in argv]
    return argv[: min(added)] if added else argv
