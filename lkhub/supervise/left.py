"""The processes of a hub that run, whether a supervisor lives or not: by their records, and by their marks."""

import os
from dataclasses import dataclass, fields, replace

from lkhub.host import processes
from lkhub.host.processes import MARK, ProcessId, Running
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, Fingerprint, Health, ProcessPlan
from lkhub.state.applied import load_applied
from lkhub.state.identity import Identity, Mark, keep_calls, list_records


@dataclass(frozen=True)
class Left:
    """A process of this hub that runs. Not `adoptable`: it is what another process has left, and is not started
    again."""

    identity: Identity
    adoptable: bool = True

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
    """The processes of this hub that run: those on record, and those that have its mark.

    What such a process has started itself, as a script that is `engine`, is not told apart from it.
    """
    found = [
        Left(identity)
        for identity in list_records(paths)
        if _is_of(paths, identity.root) and processes.is_alive(identity.process)
    ]
    known = {each.process.pid for each in found}
    # The first process of a session before what it has started itself.
    for running in sorted(processes.list_running(), key=lambda running: running.session != running.process.pid):
        if running.process.pid in known or running.session in known:
            continue
        left = _recognise(paths, running)
        if left is not None and processes.means_the_same(paths.root, running.process.pid):
            found.append(left)
            known.add(running.process.pid)
    return found


def _is_of(paths: StatePaths, root: str) -> bool:
    """Whether a process runs with this state directory. A copy of one has the records of another hub's processes."""
    return os.path.realpath(root) == os.path.realpath(paths.root)


def _recognise(paths: StatePaths, running: Running) -> Left | None:
    """What stood on the record of a process that is one of this hub's; None for any other."""
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
    """The mark of a program of the engine, by its command line. The system hides the environment of a program that has
    a file capability (`setcap`). Only a supervisor of this state directory starts the engine with these words."""
    match argv[1:6]:
        case (name, "--config", config, "--control", control):
            pass
        case _:
            return None
    if os.path.dirname(config) != paths.rendered or control != paths.socket(name):
        return None
    try:
        plan = ProcessPlan(name, _without_descriptors(argv), Health(socket=control))
    except ValueError:  # no name of a process
        return None
    told = ("name", "argv", "health")
    unknown = tuple(field.name for field in fields(ProcessPlan) if field.name not in told)
    return Mark(paths.root, keep_calls(plan), UNKNOWN, unknown)


def _find_drain(paths: StatePaths, mark: Mark) -> int | None:
    """What is in force: another limit is no reason to start a process again, so its mark may have an earlier one. The
    limit of the spec is that of the process that knows the participants."""
    applied = load_applied(paths)
    drain = applied.drain if applied else None
    is_the_specs = mark.plan.knows_participants or "knows_participants" in mark.unknown
    return drain if is_the_specs and drain is not None and drain >= 0 else mark.plan.drain


def _without_descriptors(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The words as the plan had them: descriptors are added at each start."""
    added = [argv.index(word) for word in ("--listen-fd", "--control-fd") if word in argv]
    return argv[: min(added)] if added else argv
