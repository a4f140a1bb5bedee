"""Finds the running processes of a hub by their records and marks, with or without a supervisor."""

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, fields, replace

from lkhub.errors import MachineError
from lkhub.host import processes
from lkhub.host.processes import MARK, ProcessId, Running
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, Fingerprint, Health, ProcessPlan
from lkhub.state.applied import load_applied
from lkhub.state.identity import Identity, Mark, keep_calls, list_records, list_retired


@dataclass(frozen=True)
class Left:
    """A running process of this hub. It is not `adoptable` if a child that is gone had started it: such a process is
    not started again. `retired`: it was told to end, and finishes what it does."""

    identity: Identity
    adoptable: bool = True
    retired: bool = False

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def plan(self) -> ProcessPlan:
        return self.identity.plan

    @property
    def process(self) -> ProcessId:
        return self.identity.process


def make_mark(paths: StatePaths, plan: ProcessPlan, fingerprint: Fingerprint) -> dict[str, str]:
    """The environment variable that marks a process of this hub."""
    return {MARK: Mark(os.path.realpath(paths.root), plan, fingerprint).dump()}


def find_running(paths: StatePaths) -> list[Left]:
    """The running processes of this hub: those on record, and those that have its mark.

    A child and the processes that it has started itself, as a script in `engine` does, are one result.
    """
    # Its mark does not tell: it may be another user's process, and any user can give a process a mark.
    retired = [
        Left(identity, retired=True)
        for identity in list_retired(paths)
        if _is_of(paths, identity.root) and processes.is_alive(identity.process)
    ]
    # A supervisor that was killed while a process retired has left both records of it.
    gone = {each.process for each in retired}
    found = [
        Left(identity)
        for identity in list_records(paths)
        if _is_of(paths, identity.root) and processes.is_alive(identity.process) and identity.process not in gone
    ]
    found += retired
    known = {each.process.pid for each in found}
    # The leader of a session comes before the processes that it has started.
    for running in sorted(processes.list_running(), key=lambda running: running.session != running.process.pid):
        if running.process.pid in known or running.session in known:
            continue
        left = _recognise(paths, running)
        if left is not None and processes.means_the_same(paths.root, running.process.pid):
            found.append(left)
            known.add(running.process.pid)
    return found


def list_ended(paths: StatePaths, running: Collection[str]) -> list[str]:
    """The names of processes that have ended without a supervisor: those on record that are gone, except where a
    process of that name is `running`, or may end by itself."""
    return [
        identity.name
        for identity in list_records(paths)
        if _is_of(paths, identity.root)
        and identity.plan.restart == "always"
        and identity.name not in running
        and not processes.is_alive(identity.process)
    ]


def _is_of(paths: StatePaths, root: str) -> bool:
    """Whether `root` is this state directory. A copied state directory has records of another hub's processes."""
    return os.path.realpath(root) == os.path.realpath(paths.root)


def _recognise(paths: StatePaths, running: Running) -> Left | None:
    """What the record of a process of this hub said; None for a process that is not of this hub."""
    mark = _read_words(paths, running.argv) if running.mark is None else _read_mark(running.mark)
    if mark is None or not _is_of(paths, mark.root):
        return None
    plan = replace(mark.plan, drain=_find_drain(paths, mark))
    identity = Identity(running.process, paths.root, plan, mark.fingerprint, running.since, unknown=mark.unknown)
    return Left(identity, adoptable=running.session == running.process.pid)


def _read_mark(text: str) -> Mark | None:
    try:
        return Mark.parse(text)
    except ValueError:
        return None


def _read_words(paths: StatePaths, argv: tuple[str, ...]) -> Mark | None:
    """The mark of a process, read from its command line: Linux hides the environment of a program with a file
    capability (`setcap`), and from root at work with its user's rights also that of one with a capability of its
    service. Only a supervisor of this state directory starts the engine, or lkhub, with these arguments."""
    health = Health()
    match argv[1:]:
        # Of media there may be two, with a socket each.
        case (name, "--config", config, "--control", control, *_) if control in (
            paths.socket(name),
            paths.socket(f"{name}-2"),
        ):
            health = Health(socket=control)
        case ("-P", "-m", "lkhub", "serve" | "build-site", "--config", config, *_):
            name = os.path.basename(config).removesuffix(".json")
        case _:
            return None
    if os.path.dirname(config) != paths.rendered:
        return None
    try:
        plan = ProcessPlan(name, _without_descriptors(argv), health)
    except ValueError:  # not a name that a process may have
        return None
    told = ("name", "argv", "health") if health.socket else ("name", "argv")
    unknown = tuple(field.name for field in fields(ProcessPlan) if field.name not in told)
    return Mark(paths.root, keep_calls(plan), UNKNOWN, unknown)


def _find_drain(paths: StatePaths, mark: Mark) -> int | None:
    """The drain limit in force. Its mark may have an earlier limit, since a new limit does not restart the process. The
    spec's limit applies to the process that knows the participants."""
    applied = None
    with contextlib.suppress(MachineError):  # a record that can't be read must not keep a process from being found
        applied = load_applied(paths)
    drain = applied.drain if applied else None
    is_the_specs = mark.plan.knows_participants or "knows_participants" in mark.unknown
    return drain if is_the_specs and drain is not None and drain >= 0 else mark.plan.drain


def _without_descriptors(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments as in the plan, without the descriptors that are added at each start."""
    added = [argv.index(word) for word in ("--listen-fd", "--control-fd") if word in argv]
    return argv[: min(added)] if added else argv
