"""The processes of a hub, and how they become others: as a whole, or not at all."""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping

import anyio
import anyio.abc

from lkhub.errors import HubError, MachineError, describe_error
from lkhub.host import files
from lkhub.host.engine import require_engine
from lkhub.host.ports import require_free_ports
from lkhub.plan.model import Fingerprint, Listener, ProcessPlan
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.child import Child, Returned
from lkhub.supervise.doors import Doors


def require_programs(plans: Iterable[ProcessPlan]) -> None:
    """Raise MachineError where a program is not there that these processes would be started with."""
    for plan in plans:
        if plan.name != "serve":  # its program is ours
            require_engine(plan.argv[0])


class Crew:
    """The processes in `tasks`, and the sockets that are kept for them. `say` hears of everything that happens, and
    `returned` is called when one is there again that ended by itself."""

    def __init__(
        self, paths: StatePaths, say: Callable[[str], None], tasks: anyio.abc.TaskGroup, returned: Returned
    ) -> None:
        self.paths = paths
        self.say = say
        self.tasks = tasks
        self.returned = returned
        self.children: dict[str, Child] = {}
        self.doors = Doors()

    async def replace(self, wanted: PreparedHub, changed: list[str], gone: list[str], reloaded: list[str]) -> None:
        """Make the processes `changed` those of `wanted`, end those that are `gone`, and let those that are `reloaded`
        take their change over. Where that fails, what ran before runs again, and the error says so."""
        needed = [listener for listener in wanted.plan.listeners if self._must_be_free(listener, changed)]
        self._require_what_can_be_known(wanted, changed, needed)
        old = {name: self.children[name] for name in [*changed, *gone] if name in self.children}
        texts = {path: files.read_text(path) for path in wanted.files}
        before = {name: (self.children[name].plan, self.children[name].fingerprint) for name in reloaded}
        plans: dict[str, ProcessPlan] = {process.name: process for process in wanted.plan.processes}
        new: dict[str, Child] = {
            process.name: Child(
                process, wanted.fingerprints[process.name], self.paths, self.doors, self.say, self.returned
            )
            for process in wanted.plan.processes
            if process.name in changed
        }
        try:
            self.write(wanted.files)
            for name in reloaded:
                await self.children[name].reload(plans[name], wanted.fingerprints[name])
            for child in old.values():
                await child.stop("replace")
            kept = wanted.plan.processes
            controls = [process.ready.socket for process in kept]
            self.doors.close_except({door for process in kept for door in process.doors}, controls)
            require_free_ports(needed)
            self.children = {name: child for name, child in self.children.items() if name not in gone} | new
            await self.start(new.values())
        except Exception as error:
            if old:
                self.say(describe_error(error))
            try:
                await self._restore(old, new, before, texts)
            except HubError as second:
                if not isinstance(error, HubError):
                    self.say(second.message)
                    raise error from second
                message = f"{error.message}\nand what ran before does not start again: {second.message}"
                raise type(error)(message, hints=error.hints) from error
            # A bug stays one, with what ran before running again.
            if not self.children or not isinstance(error, HubError):
                raise
            runs = all(child.state == "running" for child in self.children.values())
            those = "what ran before is running again" if runs else "`lkhub status` shows what does not run"
            raise type(error)(f"{error.message}\nthe change was not made; {those}", hints=error.hints) from error

    async def _restore(
        self,
        old: Mapping[str, Child],
        new: Mapping[str, Child],
        reloaded: Mapping[str, tuple[ProcessPlan, Fingerprint]],
        texts: Mapping[str, str | None],
    ) -> None:
        """Put back what ran before a failed change."""
        failed: list[HubError] = []
        stays: set[str] = set()
        for name, child in new.items():
            try:
                await child.stop("replace")
            except MachineError as error:
                failed.append(error)
                stays.add(name)
        try:
            self.write({path: text for path, text in texts.items() if text is not None})
        except MachineError as error:
            # A process that runs with the files of the change is better than none. The next `up` makes it another.
            failed.append(error)
            for child in old.values():
                child.fingerprint = child.fingerprint.without_files()
        back = {name: child for name, child in old.items() if name not in stays}
        kept = {name: child for name, child in self.children.items() if name not in new or name in stays}
        self.children = kept | back
        try:
            await self.start((child for child in back.values() if child.state == "stopped"), persist=True)
        except MachineError as error:
            failed.append(error)
        for name, (plan, fingerprint) in reloaded.items():
            if self.children[name].fingerprint != fingerprint:
                try:
                    await self.children[name].take_back(plan, fingerprint, self.tasks)
                except MachineError as error:
                    failed.append(error)
        if failed:
            raise MachineError("\n".join(error.message for error in failed))
        if self.children:
            for path in (path for path, text in texts.items() if text is None):
                files.remove(path)

    def _require_what_can_be_known(self, wanted: PreparedHub, changed: list[str], needed: list[Listener]) -> None:
        """Raise MachineError where a change can't be made, before it interrupts anybody."""
        try:
            require_programs(process for process in wanted.plan.processes if process.name in changed)
            require_free_ports(needed, but=self._is_own)
        except MachineError as error:
            if not self.children:
                raise
            message = f"{error.message}\nthe change was not made, and nothing was interrupted"
            raise MachineError(message, hints=error.hints) from error

    def _must_be_free(self, listener: Listener, changed: list[str]) -> bool:
        held = self.doors.is_open((str(listener.address or ""), listener.ports.start))
        return listener.process in changed and not (listener.protocol == "tcp" and held)

    def _is_own(self, pid: int) -> bool:
        """Whether a process is one of ours, or was started by one: a port that it holds may be free in a moment."""
        own = {child.process.pid for child in self.children.values() if child.process}
        with contextlib.suppress(OSError):
            return os.getsid(pid) in own or pid == os.getpid()
        return True  # it has ended meanwhile

    def write(self, texts: Mapping[str, str]) -> None:
        """Write files, and make their folders. Raises MachineError."""
        for folder in {self.paths.run, self.paths.logs, *map(os.path.dirname, texts)}:
            files.ensure_private_dir(folder)
        for path, text in texts.items():
            files.write_private(path, text)

    async def start(self, children: Iterable[Child], *, persist: bool = False) -> None:
        """Start all of them at once. Raises MachineError with every reason where some did not start."""
        failures: list[str] = []

        async def start(child: Child) -> None:
            try:
                await child.start(self.tasks, persist=persist)
            except MachineError as error:
                failures.append(error.message)

        async with anyio.create_task_group() as starting:
            for child in children:
                starting.start_soon(start, child)
        if failures:
            raise MachineError("\n".join(failures))
