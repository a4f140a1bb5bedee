"""The children of a supervisor: found, started, ended."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import anyio
import anyio.abc

from lkhub.errors import MachineError, UnwellError
from lkhub.host import files
from lkhub.host.given import write_given
from lkhub.plan.process import ProcessPlan, are_apart
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.child import Child
from lkhub.supervise.ending import Ending
from lkhub.supervise.predecessors import Predecessors
from lkhub.supervise.reload import can_reload
from lkhub.supervise.retired import Retired
from lkhub.supervise.shared import Shared
from lkhub.supervise.succession import Succession


@dataclass(frozen=True)
class Differences:
    """How the children differ from the processes of a prepared hub, by name. `changed` have to be started, in place of
    an old process or anew; `reloaded` take their change over without a restart; `gone` are no longer wanted. `beside`
    are those of `changed` that start beside the old process, which keeps its calls until they end."""

    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    reloaded: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def ended(self) -> tuple[str, ...]:
        """The processes whose clients the change interrupts, if it ends or starts them."""
        return tuple(name for name in self.replaced if name not in self.beside)

    @property
    def replaced(self) -> tuple[str, ...]:
        """The processes that the change ends or starts."""
        return (*self.changed, *self.gone)


def can_start_beside(plan: ProcessPlan, child: Child | None) -> bool:
    """Whether a process of this plan can take over from the child while that one goes on."""
    if child is None or child.state != "running" or child.process is None:
        return False
    if not all(child.shared.held.is_open(held) for held in plan.listens if held in child.plan.listens):
        return False  # the child alone has them: another supervisor had started it
    old, new = child.plan.handover, plan.handover
    return old is not None and new is not None and old.through == new.through and are_apart(child.plan, plan)


def _describe_start(plan: ProcessPlan) -> tuple[object, ...]:
    """How a process is started, but for where its program is."""
    return plan.argv[1:], plan.variables, plan.listens, plan.folder, plan.user


class StoppingError(UnwellError):
    """The hub is being stopped, so nothing is started or changed any more."""

    def __init__(self) -> None:
        super().__init__("the hub is stopping", hints=("`lkhub up` starts it again once it is down",))


class Fleet:
    """The processes in `tasks`, by their names."""

    def __init__(self, shared: Shared, tasks: anyio.abc.TaskGroup) -> None:
        self.shared = shared
        self.tasks = tasks
        self.children: dict[str, Child] = {}
        self.stopping = False
        self.retired = Retired(tasks, shared, Succession(lambda: self.children))
        self.predecessors = Predecessors(tasks, shared)
        shared.retire = self.retired.add
        shared.hand_over = self.predecessors.add

    def choose(self, wanted: PreparedHub) -> PreparedHub:
        """`wanted` with each process of which there are two on the ports that it has now, or on the others where it
        changes: there the new one can start beside the old one."""
        for spare in wanted.plan.spare:
            if self._takes_spare(wanted, spare):
                wanted = wanted.exchange(spare.name)
        return wanted

    def _takes_spare(self, wanted: PreparedHub, spare: ProcessPlan) -> bool:
        [planned] = [each for each in wanted.plan.processes if each.name == spare.name]
        child = self.children.get(spare.name)
        if child is None or child.state != "running":
            # A predecessor may still have the ports.
            in_the_way = self.predecessors.find_in_the_way(planned)
            return in_the_way is not None and self.predecessors.find_in_the_way(spare) is None
        has_spare = child.plan.health == spare.health
        here, print_of_here = (spare, wanted.spare) if has_spare else (planned, wanted.fingerprints)
        there = planned if has_spare else spare
        goes_on = child.fingerprint == print_of_here[here.name] or can_reload(child, here, print_of_here[here.name])
        if goes_on or not can_start_beside(there, child):
            return has_spare
        return not has_spare

    def compare(self, wanted: PreparedHub) -> Differences:
        """How the children differ from `wanted`, whose processes were chosen."""

        def is_same(name: str) -> bool:
            child = self.children.get(name)
            is_there = child is not None and (child.state == "running" or child.done)
            return child is not None and is_there and child.fingerprint == wanted.fingerprints[name]

        differ = [process for process in wanted.plan.processes if not is_same(process.name)]
        reloaded = tuple(process.name for process in differ if self._can_reload(process, wanted))
        changed = [process for process in differ if process.name not in reloaded]
        return Differences(
            changed=tuple(process.name for process in changed),
            gone=tuple(name for name in self.children if name not in wanted.fingerprints),
            reloaded=reloaded,
            beside=tuple(each.name for each in changed if can_start_beside(each, self.children.get(each.name))),
        )

    def split(self, wanted: PreparedHub, differences: Differences) -> tuple[Differences, tuple[str, ...]] | None:
        """Divide a change that would interrupt calls: the part that interrupts none, and the names of the processes
        that have to wait. That is possible only where these get nothing but another program, as the relay and the edge
        of a new version do: then they work with the rest as before. None where more of them changes, or where the
        process that knows the participants would have to wait: the whole change waits then."""
        later = tuple(name for name in differences.ended if name in self.children and self._carries_calls(name))
        if not later or not all(self._gets_a_program(name, wanted) for name in later):
            return None
        changed = tuple(name for name in differences.changed if name not in later)
        return replace(differences, changed=changed), later

    def _carries_calls(self, name: str) -> bool:
        return self.children[name].plan.carries_calls

    def _gets_a_program(self, name: str, wanted: PreparedHub) -> bool:
        child = self.children[name]
        after = next((each for each in wanted.plan.processes if each.name == name), None)
        if after is None or after.knows_participants or child.state != "running":
            return False
        before, then = child.fingerprint, wanted.fingerprints[name]
        if not before.files or (before.files, before.rereads) != (then.files, then.rereads):
            return False
        # What variables say is part of the program's digest.
        is_ours = child.plan.engine and child.plan.engine == after.engine and not after.variables
        return bool(is_ours) and _describe_start(child.plan) == _describe_start(after)

    def _can_reload(self, process: ProcessPlan, wanted: PreparedHub) -> bool:
        child = self.children.get(process.name)
        return child is not None and can_reload(child, process, wanted.fingerprints[process.name])

    def list_plans(self, names: Iterable[str]) -> tuple[ProcessPlan, ...]:
        """The plans of the children with these names."""
        return tuple(self.children[name].plan for name in names if name in self.children)

    def is_own(self, pid: int) -> bool:
        """Whether a process is a child or was started by a child: a port that it holds may be free in a moment."""
        own = {child.process.pid for child in self.children.values() if child.process}
        own |= self.retired.pids | self.predecessors.pids
        with contextlib.suppress(OSError):
            return os.getsid(pid) in own or pid == os.getpid()
        return True  # the process has ended meanwhile

    def write(self, texts: Mapping[str, str]) -> None:
        """Write files, and make their folders; a power cut takes none of it back. Raises MachineError."""
        paths = self.shared.paths
        for folder in {paths.run, paths.logs, *map(os.path.dirname, texts)}:
            if not paths.is_for_agent(folder):
                files.ensure_private_dir(folder)
        changed = [path for path, text in texts.items() if self._write(path, text)]
        files.keep_names({os.path.dirname(path) for path in changed})

    def _write(self, path: str, text: str) -> bool:
        return write_given(path, text) if self.shared.paths.is_for_agent(path) else files.write_private(path, text)

    async def start(self, children: Iterable[Child], *, persist: bool = False) -> None:
        """Start all of them at once. Raises MachineError with every reason if some did not start, and StoppingError if
        the hub stops: it may have ended them meanwhile."""
        self.require_going_on()
        failures: list[str] = []

        async def start(child: Child) -> None:
            try:
                await child.start(self.tasks, persist=persist)
            except MachineError as error:
                failures.append(error.message)

        async with anyio.create_task_group() as starting:
            for child in children:
                starting.start_soon(start, child)
        self.require_going_on()
        if failures:
            raise MachineError("\n".join(failures))

    def require_going_on(self) -> None:
        """Raise StoppingError where the hub stops: what is started then would be left running."""
        if self.stopping:
            raise StoppingError

    async def stop(self, children: Iterable[tuple[Child, Ending]]) -> list[str]:
        """End each of them. Returns why some could not be ended."""
        failures = []
        for child, ending in children:
            try:
                await child.stop(ending)
            except MachineError as error:
                failures.append(error.message)
        return failures
