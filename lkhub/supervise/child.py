"""One process of the supervisor: its states, its restarts, its end."""

import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import Literal

import anyio
import anyio.abc
import anyio.to_thread

from lkhub.errors import MachineError, describe_error, is_refusal
from lkhub.host import files, processes
from lkhub.host.agent_home import is_uninstalled
from lkhub.host.disks import describe_full
from lkhub.host.exits import describe_exit
from lkhub.host.processes import ProcessId
from lkhub.host.session import Session
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, Health, ProcessPlan
from lkhub.shown import QUOTED
from lkhub.state.identity import Identity, remove_retired, write_retired
from lkhub.supervise.ask import ask_status
from lkhub.supervise.backoff import Backoff
from lkhub.supervise.ending import Ending, end_process, end_session
from lkhub.supervise.life import watch_life
from lkhub.supervise.recorded import Recorded
from lkhub.supervise.shared import Shared
from lkhub.supervise.spawn import spawn
from lkhub.supervise.strays import end_strays, follow_session
from lkhub.wire.engine import ProcessStatus

State = Literal["starting", "running", "backoff", "stopping", "stopped", "failed"]

ShownState = Literal[State, "hanging"]
"""The states that `status` shows. A process that hangs is not well, but is not ended either."""

# Lines of the log that a crash report shows: the error and what led to it.
REPORT_LINES = 8


@dataclass
class Child:
    """A process that is kept running until it is stopped. `taken` are the stamps of its watched files when it last read
    them. `done`: it has ended successfully, and is not to be started again."""

    plan: ProcessPlan
    fingerprint: Fingerprint
    shared: Shared
    state: State = "stopped"
    since: float = field(default_factory=time.time)
    restarts: int = 0
    process: ProcessId | None = None
    last_failure: str = ""
    taken: tuple[str, ...] = ()
    done: bool = False

    def __post_init__(self) -> None:
        timings = self.shared.timings
        self._record = Recorded(self.plan.name, self.shared, self.process)
        self._first_failure = ""
        self._persists = False
        self._popen: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff(timings.restart_first, timings.restart_ceiling)
        self._wanted = False
        self._is_retired = False
        self._settled = anyio.Event()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self._drains: list[anyio.CancelScope] = []  # `down` and a signal may both wait for one drain

    @staticmethod
    def adopt(identity: Identity, shared: Shared) -> "Child":
        """Take over a process that an earlier supervisor started."""
        return Child(
            identity.plan,
            identity.fingerprint,
            shared,
            state="running",
            since=identity.since,
            process=identity.process,
            taken=identity.taken,
        )

    @property
    def unrecorded(self) -> MachineError | None:
        """Why its record can't be written; None if it can."""
        return self._record.failure

    async def start(self, tasks: anyio.abc.TaskGroup, *, persist: bool = False) -> None:
        """Start (or take over) the process and keep it running from then on; return when it is ready.

        Raises MachineError if the first start fails. Nothing is left running then, unless `persist` is set: the process
        is then started again like one that crashed.
        """
        self._wanted, self._persists, self._first_failure, self.done = True, persist, "", False
        if self.state == "failed":
            self._set("stopped")
        self._settled, self._ended, self._scope = anyio.Event(), anyio.Event(), anyio.CancelScope()
        tasks.start_soon(self._keep_running)
        await self._settled.wait()
        if self._first_failure:
            raise MachineError(self._first_failure)

    async def stop(self, how: Ending) -> None:
        """End the process, and do not start it again. One that retires is told to end, and not waited for. Raises
        MachineError if this machine refuses what that needs, such as a free descriptor; the process is then watched as
        before."""
        before = self.state, self.since, self._wanted
        self._wanted = False
        self._set("stopping")
        try:
            if self.process is not None:
                await self._end(self.process, how)
        except OSError as error:
            if not self._ended.is_set():  # otherwise the process has ended meanwhile
                self.state, self.since, self._wanted = before
                raise MachineError(f"can't end {self.plan.name}: {describe_error(error)}") from error
        self._scope.cancel()
        if self._settled.is_set():
            await self._ended.wait()
        if self._popen is not None and not self._is_retired:
            self._popen.wait()
        self._is_retired = False
        self._record.remove()
        self.process, self._popen = None, None
        self._set("stopped")

    async def hand_over(self) -> None:
        """Leave the process to finish its calls beside the one that has taken its place, and whose record is now the
        one of this name. A process that has ended meanwhile is not started again."""
        self._wanted = False
        process, popen = self.process, self._popen
        self._scope.cancel()
        if self._settled.is_set():
            await self._ended.wait()
        self.process, self._popen = None, None
        self._set("stopped")
        if process is not None:
            await self.shared.hand_over(self.plan, process, popen)

    def note_handover(self) -> None:
        """Write the record of a process that is about to hand over, for a supervisor that comes after a crash. Raises
        MachineError."""
        if identity := self._identify():
            write_retired(self.shared.paths, identity)

    def stay(self) -> None:
        """Take `note_handover` back: the process goes on in its place."""
        if identity := self._identify():
            self._record.write(identity)
            remove_retired(self.shared.paths, identity)

    async def ask_status(self) -> ProcessStatus | None:
        """The status that the process gives on its control socket; None if it does not answer. Of a process of another
        version whose status can't be read, only pid and state are known."""
        if self.process is None or self.state != "running":
            return None
        return await ask_status(self.plan, self.process, self.shared.timings.status)

    def follow(self, plan: ProcessPlan) -> None:
        """Take `plan` as the plan of this process. It differs only in what the process need not be told."""
        if self.plan != plan:
            self.plan = plan
            self.remember()

    def remember(self) -> None:
        """Write the record, if there is a process."""
        if identity := self._identify():
            self._record.write(identity)

    def keep_record(self) -> None:
        """Write the record if it is missing."""
        if identity := self._identify():
            self._record.write_missing(identity)

    def _identify(self) -> Identity | None:
        if self.process is None:
            return None
        root = self.shared.paths.root
        return Identity(self.process, root, self.plan, self.fingerprint, self.since, self.taken)

    def stop_now(self) -> None:
        """End a drain at once. A process that does not drain is left alone: it would be started again."""
        for drain in self._drains:
            drain.cancel()

    async def _end(self, process: ProcessId, how: Ending) -> None:
        if how == "replace" and self.plan.retires is not None:
            self.shared.retire(self.plan, process, self._popen)
            self._is_retired = True
            return
        # An agent is any program, such as a shell.
        session = follow_session(process, self.plan) if self.plan.registers else None
        if session is not None:
            await anyio.to_thread.run_sync(session.find_members)
        with anyio.CancelScope() as ending:
            if how == "drain":
                self._drains.append(ending)
            try:
                await end_process(process, how, self.plan, self.shared.timings)
            finally:
                if how == "drain":
                    self._drains.remove(ending)
        if ending.cancelled_caught:
            await end_process(process, "now", self.plan, self.shared.timings, drains=True)
        if session is not None:
            shared = self.shared
            await end_session(session, shared.timings.stop_grace, shared.paths, shared.agents, shared.timings)

    async def _keep_running(self) -> None:
        try:
            with self._scope:
                while self._wanted and self.state != "failed":
                    try:
                        await self._run_once()
                    except Exception as error:
                        await self._survive(error)
        finally:
            self._ended.set()
            self._settled.set()

    async def _survive(self, error: Exception) -> None:
        """Neither a refusal of this machine nor a bug in lkhub may end the process or the supervisor."""
        name, what = self.plan.name, describe_error(error)
        bug = f"this is a bug in lkhub: {what} while watching {name}"
        failure = f"can't watch {name}: {what}" if is_refusal(error) else bug
        if failure != self.last_failure:
            self.shared.say(failure)
        self.last_failure = failure
        if not self._settled.is_set():
            self._first_failure = failure
            if self._popen is not None:  # it has served no client yet
                self._popen.kill()
            self._settled.set()
        await anyio.sleep(self.shared.timings.watch_again)

    async def _run_once(self) -> None:
        """Run the process once, and wait before its next start."""
        first = not self._settled.is_set()
        well: float | None = None
        try:
            if self.process is None:
                self._spawn(first)
            if self.process is not None:
                well = await self._live(self.process)
        except MachineError as error:
            self.last_failure = error.message
        if not self._wanted:
            return
        if self._is_done():
            self.done, self._wanted = True, False
            self.process, self._popen = None, None
            self._record.remove()
            self._set("stopped")
            return
        if well is not None or not self.last_failure:
            self.last_failure = self._report_end()
        self.process, self._popen = None, None
        if first and well is None:
            self._first_failure = self.last_failure
            if not self._persists:
                self._set("failed")
                self._record.remove()
                return
        delay = self._backoff.next_delay(self._judge_well(well or 0.0))
        self.restarts += 1
        failure, newline, quoted = self.last_failure.partition("\n")
        self.shared.say(f"{failure}; {f'again in {delay:.1f} s' if delay else 'starting it again'}{newline}{quoted}")
        self._set("backoff")
        self._settled.set()
        await anyio.sleep(delay)

    def _judge_well(self, ran: float) -> float:
        """For how many seconds it was well, that was ready for so many. With no health to ask for, ready is what runs,
        and so is the installation of an agent, which may fail after minutes."""
        if self.plan.registers and any(map(is_uninstalled, self.plan.files)):
            return 0.0
        return max(0.0, ran - self.shared.timings.settled) if self.plan.health == Health() else ran

    def _spawn(self, first: bool) -> None:
        self._set("starting")
        self.last_failure = ""
        self.taken = files.stamp(self.plan.watched)
        needs_log = first and not self._persists
        self._popen = spawn(self.plan, self.fingerprint, self.shared, needs_log=needs_log)
        self.process = processes.identify(self._popen.pid)
        if self.process is None:
            seen = self._popen.poll() is not None
            if not seen:  # for example, no descriptor is free; waiting for its end would last for ever
                self._popen.kill()
            self._popen.wait()
            if not self._is_done():
                raise MachineError(self._report_end() if seen else f"{self.plan.name} was started and can't be watched")
        self.remember()

    def _is_done(self) -> bool:
        """Whether the process has ended successfully and is not to be started again."""
        return self.plan.restart == "on-failure" and self._popen is not None and self._popen.poll() == 0

    async def _live(self, process: ProcessId) -> float | None:
        """Watch the process until it ends. Returns for how many seconds it was ready, None if it never was."""

        async def settle() -> None:
            self._set("running")
            if self._settled.is_set():
                await self.shared.returned(self.plan)
            self._settled.set()

        session = follow_session(process, self.plan)
        async with anyio.create_task_group() as tasks:
            if self.plan.registers:
                tasks.start_soon(self._see_started, session)
            life = await watch_life(self.plan, process, self.shared, adopted=self._popen is None, on_ready=settle)
            tasks.cancel_scope.cancel()
        self.last_failure = life.failure or self.last_failure
        if self._wanted and self.plan.registers:
            await self._end_left(session)
        if self._popen is not None:
            self._popen.wait()
        return life.seconds

    async def _see_started(self, session: Session) -> None:
        """See what an agent starts. Once it has been killed, nothing tells whose that was which it has detached."""
        while True:
            # Such as no free descriptor, or no free thread, which is a RuntimeError: the next look may succeed.
            with contextlib.suppress(OSError, RuntimeError):
                await anyio.to_thread.run_sync(session.find_members)
            await anyio.sleep(self.shared.timings.tick)

    async def _end_left(self, session: Session) -> None:
        """Kill what an agent has left that ended by itself, such as a shell that was killed: another one starts. What
        was detached since the last look is known only by its user, where it has one of its own."""
        for each in await anyio.to_thread.run_sync(session.find_members):
            processes.send_signal(each, signal.SIGKILL)
        await anyio.to_thread.run_sync(end_strays, session, self.shared.paths, self.shared.agents)

    def _report_end(self) -> str:
        return report_end(self.plan.name, self._popen.poll() if self._popen else None, self.shared.paths)

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state, self.since = state, time.time()


def report_end(name: str, code: int | None, paths: StatePaths) -> str:
    """The report of a process that ended by itself, with the last lines of its log. `code` is the return code as in
    subprocess.Popen, None if it is not known. A full disk is named: a program whose log takes no line can't say so.
    `lkhub logs` recognises the lines of the log by their mark, and shows
    them as lines of the process (lkhub/log_lines.py)."""
    how = "; ".join(filter(None, (describe_exit(code), describe_full(paths.root))))
    log = paths.log(name)
    try:
        lines = files.read_tail(log, REPORT_LINES)
    except MachineError as error:  # the process is started again all the same
        return f"{name} {how}; {error.message}"
    quoted = [f"the end of {log}:", *lines] if lines else [f"nothing is in {log}"]
    return "\n".join([f"{name} {how}", *(f"{QUOTED}{line[:300]}" for line in quoted)])
