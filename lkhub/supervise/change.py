"""A change of the running processes: a transaction, made as a whole or not at all."""

import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import anyio.to_thread

from lkhub.errors import HubError, MachineError, describe_error
from lkhub.host import files
from lkhub.host.ports import require_free_ports
from lkhub.host.processes import ProcessId
from lkhub.host.redis import require_redis
from lkhub.host.tcp_table import list_listening
from lkhub.plan.model import Listener
from lkhub.plan.process import HeldSocket, OwnPorts, ProcessPlan
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.child import Child
from lkhub.supervise.fleet import Differences, Fleet, StoppingError
from lkhub.supervise.predecessors import Predecessor
from lkhub.supervise.reload import reload, take_back
from lkhub.supervise.spawn import require_program

Undo = Callable[[], Awaitable[None]]


class UndoList:
    """Takes back the steps of a change that were made or begun."""

    def __init__(self) -> None:
        self._undos: list[Undo] = []

    def add(self, undo: Undo) -> None:
        """Call it before the step begins: a step that fails may be half done."""
        self._undos.append(undo)

    async def run(self) -> list[str]:
        """Take all steps back, the last one first, also when one of them fails. Returns the failures."""
        failures: list[str] = []
        while self._undos:
            try:
                await self._undos.pop()()
            except HubError as error:
                failures.append(error.message)
            except Exception as error:
                failures.append(f"this is a bug in lkhub: {describe_error(error)} while a change was taken back")
        return failures


class FileChange:
    """The files of a change, and their content before it. `readers` are the processes that may be started again with
    the earlier content."""

    def __init__(self, fleet: Fleet, wanted: Mapping[str, str], readers: Collection[Child]) -> None:
        self._fleet = fleet
        self._wanted = wanted
        self._readers = readers
        self._before = {path: files.read_text(path) for path in wanted}
        self._failure: MachineError | None = None
        self._is_back = False

    def write(self) -> None:
        self._fleet.write(self._wanted)

    def put_back(self) -> None:
        """Write the earlier content, once. If that fails, a process that runs with the files of the change is better
        than no process, and the next `up` replaces it."""
        if self._is_back:
            return
        self._is_back = True
        try:
            self._fleet.write({path: text for path, text in self._before.items() if text is not None})
        except MachineError as error:
            self._failure = error
            for child in self._readers:
                child.fingerprint = child.fingerprint.without_files()

    def remove_new(self) -> None:
        """Remove the files that did not exist before. Raises MachineError, and removes nothing, if some file could not
        be put back."""
        self.put_back()
        if self._failure:
            raise self._failure
        for path in (path for path, text in self._before.items() if text is None):
            files.remove(path)


class Change:
    """The steps from the running processes to `wanted`. Each step first registers its undo; only the calls of
    `in_the_way` can't be brought back, which have the ports of what starts."""

    def __init__(
        self, fleet: Fleet, wanted: PreparedHub, differences: Differences, in_the_way: Sequence[Predecessor] = ()
    ) -> None:
        self._fleet = fleet
        self._shared = fleet.shared
        self._wanted = wanted
        self._differences = differences
        self._plans = {process.name: process for process in wanted.plan.processes}
        self._old = {name: fleet.children[name] for name in differences.ended if name in fleet.children}
        self._beside = [fleet.children[name] for name in differences.beside]
        self._needed = [listener for listener in wanted.plan.listeners if self._must_be_free(listener)]
        self._in_the_way = in_the_way
        self._undos = UndoList()

    async def make(self) -> None:
        """Make the change. If it fails, the processes from before run again, and the HubError says so. An exception
        that is a bug is raised unchanged, after the same undo."""
        await self._require_what_can_be_known()
        self._ran = self._list_running()
        self._texts = FileChange(self._fleet, self._wanted.files, self._old.values())
        try:
            self._write()
            for name in self._differences.reloaded:
                await self._reload(self._fleet.children[name], self._plans[name])
            for each in self._in_the_way:
                await self._fleet.predecessors.cut(each)
            await self._stop_old()
            self._close_sockets()
            # What retires may have its port for an hour, and whatever comes instead of it takes another one.
            needed = [listener for listener in self._needed if not self._may_stay_taken(listener)]
            require_free_ports(needed, self._wanted.plan.processes)
            await self._start_new()
            # Nothing can fail from here on.
            for child in self._beside:
                await child.hand_over()
        except Exception as error:
            if self._old:
                self._shared.say(describe_error(error))
            described = self._describe(error, await self._undos.run())
            if described is error:
                raise
            raise described from error

    def _describe(self, error: Exception, failures: list[str]) -> Exception:
        if not isinstance(error, HubError):
            for failure in failures:
                self._shared.say(failure)
            return error
        if isinstance(error, StoppingError) and not failures:
            return error
        if failures:
            why = "\n".join(failures)
            message = f"{error.message}\nand what ran before does not start again: {why}"
        elif self._fleet.children:
            runs = all(child.state == "running" or child.done for child in self._fleet.children.values())
            if runs and self._list_running() == self._ran and not self._in_the_way:
                return type(error)(
                    f"{error.message}\nthe change was not made, and nothing was interrupted", hints=error.hints
                )
            those = "what ran before is running again" if runs else "`lkhub status` shows what does not run"
            message = f"{error.message}\nthe change was not made; {those}"
        else:
            return error
        return type(error)(message, hints=error.hints)

    def _list_running(self) -> dict[str, ProcessId | None]:
        return {name: child.process for name, child in self._fleet.children.items()}

    async def _require_what_can_be_known(self) -> None:
        """Raise MachineError if the change can't be made, before it interrupts a call."""
        try:
            for name in self._differences.changed:
                require_program(self._plans[name])
            # A process that reads its files again opens new ports, and keeps those that it has.
            reloaded = [each for each in self._wanted.plan.listeners if each.process in self._differences.reloaded]
            require_free_ports([*self._needed, *reloaded], self._wanted.plan.processes, but=self._is_ours)
            redis = self._wanted.plan.redis
            if redis and any(self._plans[name].knows_participants for name in self._differences.changed):
                # In a thread: a server that is not there may take seconds, and a process that dies meanwhile must be
                # started again at once.
                password = self._wanted.redis_password
                await anyio.to_thread.run_sync(require_redis, redis, password, abandon_on_cancel=True)
        except MachineError as error:
            if not self._fleet.children:
                raise
            message = f"{error.message}\nthe change was not made, and nothing was interrupted"
            raise MachineError(message, hints=error.hints) from error

    def _is_ours(self, listener: Listener, pid: int | None) -> bool:
        """Whether the process that has this port is one of the hub's, as far as that is known. `pid` None: it can't be
        seen. It is another user's then, such as an agent's; or the engine, where its file has a capability."""
        if pid is not None:
            return self._fleet.is_own(pid)
        if self._plans[listener.process].retires is not None:
            return True
        listening = list_listening() if listener.protocol == "tcp" else ()
        users = {each.uid for each in listening if each.port == listener.ports.start}
        return not users or os.geteuid() in users

    def _may_stay_taken(self, listener: Listener) -> bool:
        name = listener.process
        if self._plans[name].retires is not None or name in self._differences.beside:
            return True
        # One that has handed over keeps its ports, and what starts takes the others.
        port = OwnPorts(listener.protocol, *listener.ports)
        before = [each.plan.handover for each in self._fleet.predecessors.list()]
        return any(port.meets(own) for handover in before if handover for own in handover.ports)

    def _must_be_free(self, listener: Listener) -> bool:
        held = self._shared.held.is_open(HeldSocket(str(listener.address or ""), listener.ports.start))
        return listener.process in self._differences.changed and not (listener.protocol == "tcp" and held)

    # --- the steps

    def _write(self) -> None:
        environ = self._shared.environ

        async def undo() -> None:
            self._shared.use_environ(environ)
            self._texts.put_back()
            if self._fleet.children:  # after a failed first start, its files stay: they show what was wrong
                self._texts.remove_new()

        self._undos.add(undo)
        self._shared.use_environ(self._wanted.environ)
        self._texts.write()

    async def _reload(self, child: Child, plan: ProcessPlan) -> None:
        before, fingerprint = child.plan, child.fingerprint

        async def undo() -> None:
            self._texts.put_back()
            if child.fingerprint != fingerprint:
                await take_back(child, before, fingerprint, self._fleet.tasks)

        self._undos.add(undo)
        await reload(child, plan, self._wanted.fingerprints[child.plan.name])

    async def _stop_old(self) -> None:
        async def undo() -> None:
            self._texts.put_back()
            if self._fleet.stopping:
                return
            there = [child for name, child in self._old.items() if self._fleet.children.get(name) is child]
            await self._fleet.start((child for child in there if child.state == "stopped"), persist=True)

        self._undos.add(undo)
        for child in self._old.values():
            await child.stop("replace")

    def _close_sockets(self) -> None:
        """Close the held sockets that the wanted hub does not use. If the change fails, a process that is started
        again gets new ones."""

        async def undo() -> None:
            # One at every address would keep what ran before from its port at one of them, or the other way round.
            self._close_sockets_except(child.plan for child in self._fleet.children.values())

        self._undos.add(undo)
        self._close_sockets_except(self._wanted.plan.processes)

    def _close_sockets_except(self, kept: Iterable[ProcessPlan]) -> None:
        before = (each.plan for each in self._fleet.predecessors.list())
        plans = (*kept, *before, *(child.plan for child in self._beside))
        controls = [process.health.socket for process in plans]
        self._shared.held.close_except({held for process in plans for held in process.listens}, controls)

    async def _start_new(self) -> None:
        before = self._fleet.children
        new = {
            name: Child(self._plans[name], self._wanted.fingerprints[name], self._shared)
            for name in self._differences.changed
        }

        async def undo() -> None:
            failures = await self._fleet.stop((child, "replace") for child in new.values())
            for child in self._beside:
                child.stay()
            # A new process that can't be ended still runs, and keeps the place of the old one.
            stays = {name: child for name, child in new.items() if child.process is not None}
            self._fleet.children = before | stays
            if failures:
                raise MachineError("\n".join(failures))

        self._undos.add(undo)
        for child in self._beside:
            child.note_handover()
        gone = self._differences.gone
        self._fleet.children = {name: child for name, child in before.items() if name not in gone} | new
        await self._fleet.start(new.values())
