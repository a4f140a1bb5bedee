"""One process under the supervisor: its states, its restarts, its end."""

import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import anyio
import anyio.abc

from lkhub.errors import MachineError, describe_error, is_refusal
from lkhub.host import files, processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.log_lines import QUOTED
from lkhub.plan.model import Fingerprint, ProcessPlan
from lkhub.plan.paths import StatePaths
from lkhub.supervise.backoff import Backoff
from lkhub.supervise.doors import Doors
from lkhub.supervise.ending import Ending, end_process
from lkhub.supervise.ready import STATUS_SECONDS, NotItsAnswerError, read_own, require_own, wait_ready
from lkhub.supervise.record import Identity, mark, read_record, remove_record, write_record

State = Literal["starting", "running", "backoff", "stopping", "stopped", "failed"]

ShownState = Literal[State, "hanging"]
"""What `status` says. One that hangs is not well, and is not ended either."""

# Media is ready in 0.1 s here; a small board under load takes a few seconds. What is not ready by then has never served
# anybody, and is ended and started again. What has served is told about where it hangs, and never ended by itself: it
# may go on, and its calls with it.
READY_SECONDS = 30.0

# A supervisor that was stopped itself (Ctrl-Z) comes to a deadline this much later, or more. What it waited for may
# have been ready long ago, and have served since: it has its time anew.
AWAY_SECONDS = 1.0

# Of one that is taken over it is not known whether it has served. One that is well answers in milliseconds, and within
# this where the machine is busy.
ANSWER_SECONDS = 5.0

# Before a process whose watching failed by a bug is watched again.
WATCH_AGAIN_SECONDS = 1.0

# Lines of the log that a crash report shows: the error and what led to it.
REPORT_LINES = 8


@dataclass
class Child:
    """A process that is kept running until it is stopped. `say` hears of everything that happens to it, and
    `returned` is called when it is ready again after it ended by itself.

    `taken` is how the files that it watches were when it took them, `refused` why it did not take them as they are now.
    `unrecorded` is why its record can't be written, `hangs` how it is seen that it does not answer; "" where all is
    well. `stopped`: it hangs because a signal has stopped it."""

    plan: ProcessPlan
    fingerprint: Fingerprint
    paths: StatePaths
    doors: Doors
    say: Callable[[str], None]
    returned: "Returned"
    state: State = "stopped"
    since: float = field(default_factory=time.time)
    restarts: int = 0
    process: ProcessId | None = None
    last_failure: str = ""
    taken: tuple[str, ...] = ()
    refused: str = ""
    unrecorded: str = ""
    hangs: str = ""
    stopped: bool = False
    _recorded: ProcessId | None = None
    _first_failure: str = ""
    _persists: bool = False
    _popen: subprocess.Popen[bytes] | None = None
    _backoff: Backoff = field(default_factory=Backoff)
    _wanted: bool = False
    _settled: anyio.Event = field(default_factory=anyio.Event)
    _ended: anyio.Event = field(default_factory=anyio.Event)
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @staticmethod
    def adopt(
        identity: Identity, paths: StatePaths, doors: Doors, say: Callable[[str], None], returned: "Returned"
    ) -> "Child":
        """Take over a process that an earlier supervisor started."""
        child = Child(identity.plan, identity.fingerprint, paths, doors, say, returned)
        child.process, child.state, child.since = identity.process, "running", identity.since
        child.taken, child._recorded = identity.taken, identity.process
        return child

    async def start(self, tasks: anyio.abc.TaskGroup, *, persist: bool = False) -> None:
        """Start (or take over) the process and keep it running from then on; return when it is ready.

        Raises MachineError where the first start fails. Nothing is left running then; with `persist` it is started
        again like one that crashed.
        """
        self._wanted, self._persists, self._first_failure = True, persist, ""
        if self.state == "failed":
            self._set("stopped")
        self._settled, self._ended, self._scope = anyio.Event(), anyio.Event(), anyio.CancelScope()
        tasks.start_soon(self._keep_running)
        await self._settled.wait()
        if self._first_failure:
            raise MachineError(self._first_failure)

    async def stop(self, how: Ending) -> None:
        """End the process, and do not start it again. MachineError where this machine refuses what that needs, such as
        a free descriptor; it is watched over as before then."""
        before = self.state, self.since, self._wanted
        self._wanted = False
        self._set("stopping")
        try:
            if self.process is not None:
                await end_process(self.process, how, self.plan)
        except OSError as error:
            if not self._ended.is_set():  # else it has ended meanwhile
                self.state, self.since, self._wanted = before
                raise MachineError(f"can't end {self.plan.name}: {describe_error(error)}") from error
        self._scope.cancel()
        if self._settled.is_set():
            await self._ended.wait()
        if self._popen is not None:
            self._popen.wait()
        self._forget()
        self.process, self._popen = None, None
        self._set("stopped")

    async def ask_status(self) -> Any:
        """What the process answers on its control socket; None where it does not."""
        if self.process is None:
            return None
        try:
            async with local_client(STATUS_SECONDS, socket=self.plan.ready.socket) as client:
                return read_own((await client.get("http://control/status")).raise_for_status(), self.process)
        except (httpx.HTTPError, ValueError):
            return None

    def can_reload(self, plan: ProcessPlan, fingerprint: Fingerprint) -> bool:
        """Whether this process becomes `plan` by reading its files again."""
        # One file more, as that of a secret, is a change of its files like any other. Sockets that it is not given it
        # opens itself.
        same_plan = replace(self.plan, files=plan.files, watched=plan.watched, doors=plan.doors) == plan
        same_program = same_plan and self.fingerprint.program == fingerprint.program
        return plan.reloads and same_program and self.state == "running" and not self._is_in_its_own_way(plan)

    def _is_in_its_own_way(self, plan: ProcessPlan) -> bool:
        """Whether `plan` listens on a port everywhere that this process has at one address, or the other way round: it
        can't open the new socket before it has closed the old one."""
        return any(
            port == held and address != at and "" in (address, at)
            for address, port in plan.doors
            for at, held in self.plan.doors
        )

    async def reload(self, plan: ProcessPlan, fingerprint: Fingerprint) -> None:
        """Let the process read its files again and be `plan`; it interrupts nobody. MachineError, and nothing changed,
        where it refuses them."""
        before, taken = self.fingerprint, files.stamp(plan.watched)
        # Should this be the end of the supervisor, the next one does not know whether it happened. Nor do we, should
        # the process end before it answers, or have ended: it is started with the files that it finds by then.
        self.fingerprint = before.without_files()
        process = self.process
        if self.state != "running" or process is None:
            raise MachineError(f"{self.plan.name} has ended meanwhile, and is started again; try the change once more")
        self._remember()
        try:
            answer = await self._post_reload(process)
            require_own(answer, process)
            told = "" if answer.is_success else answer.json()["error"]["message"]
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            another = isinstance(error, NotItsAnswerError)
            told = f"{error} in its place" if another else f"it does not answer ({type(error).__name__})"
            unasked = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            if another or (isinstance(error, httpx.HTTPError) and not unasked):
                before = self.fingerprint  # it may have been asked, and may do it yet
        if told:
            self.fingerprint = before
            self._remember()
            raise MachineError(f"{self.plan.name} refuses its new configuration: {told}")
        self.plan, self.fingerprint, self.taken, self.refused = plan, fingerprint, taken, ""
        self._remember()

    async def _post_reload(self, process: ProcessId) -> httpx.Response:
        """Its answer. Raises httpx.HTTPError where there is none, also where the process ends first: its control socket
        stays open for the next process, and a connection to it would wait until that one is started."""
        answer: httpx.Response | httpx.HTTPError = httpx.ReadError("it has ended")

        async def end_with_it() -> None:
            await processes.wait_until_gone(process)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end_with_it)
            async with local_client(READY_SECONDS, socket=self.plan.ready.socket) as client:
                try:
                    answer = await client.post("http://control/reload")
                except httpx.HTTPError as error:
                    answer = error
            tasks.cancel_scope.cancel()
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    async def take_back(self, plan: ProcessPlan, fingerprint: Fingerprint, tasks: anyio.abc.TaskGroup) -> None:
        """Be `plan` again after a reload that failed. MachineError where it refuses that, too, or does not start."""
        process = self.process
        if process is not None and self.state == "running":
            try:
                await self.reload(plan, fingerprint)
                return
            except MachineError:
                with anyio.move_on_after(STATUS_SECONDS):
                    await processes.wait_until_gone(process)
                if processes.is_alive(process):
                    raise
        # It has ended meanwhile, and may be there again with the files of the change.
        await self.stop("replace")
        self.plan, self.fingerprint = plan, fingerprint
        await self.start(tasks, persist=True)

    def follow(self, plan: ProcessPlan) -> None:
        """Be `plan`, which differs in nothing that the process itself has to be told now."""
        if self.plan != plan:
            self.plan = plan
            self._remember()

    def keep_record(self) -> None:
        """Write the record again where somebody has removed or damaged it, or where it could not be written."""
        recorded = read_record(self.paths, self.plan.name)
        if recorded is None or recorded.process != self.process or self.unrecorded:
            self._remember()

    def stop_now(self) -> None:
        """Make a drain that is under way end at once."""
        if self.process is not None:
            processes.send_signal(self.process, signal.SIGTERM)

    def as_json(self) -> dict[str, Any]:
        state: ShownState = "hanging" if self.hangs and self.state == "running" else self.state
        return {
            "name": self.plan.name,
            "pid": self.process.pid if self.process else None,
            "state": state,
            "since": self.since,
            "restarts": self.restarts,
        }

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
        """What this machine refuses, or a bug in here, must end neither the process nor the supervisor."""
        name, what = self.plan.name, describe_error(error)
        bug = f"this is a bug in lkhub: {what} while watching {name}"
        failure = f"can't watch {name}: {what}" if is_refusal(error) else bug
        if failure != self.last_failure:
            self.say(failure)
        self.last_failure = failure
        if not self._settled.is_set():
            self._first_failure = failure
            if self._popen is not None:  # it has not served anybody yet
                self._popen.kill()
            self._settled.set()
        await anyio.sleep(WATCH_AGAIN_SECONDS)

    async def _run_once(self) -> None:
        """One life of the process, and the wait before its next one."""
        first = not self._settled.is_set()
        well: float | None = None
        try:
            if self.process is None:
                self._spawn(first)
            assert self.process is not None
            well = await self._live(self.process)
        except MachineError as error:
            self.last_failure = error.message
        if not self._wanted:
            return
        if well is not None or not self.last_failure:
            self.last_failure = self._report_end()
        self.process, self._popen = None, None
        if first and well is None:
            self._first_failure = self.last_failure
            if not self._persists:
                self._set("failed")
                self._forget()
                return
        delay = self._backoff.next_delay(well or 0.0)
        self.restarts += 1
        failure, newline, quoted = self.last_failure.partition("\n")
        self.say(f"{failure}; {f'again in {delay:.1f} s' if delay else 'starting it again'}{newline}{quoted}")
        self._set("backoff")
        self._settled.set()
        await anyio.sleep(delay)

    def _spawn(self, first: bool) -> None:
        self._set("starting")
        self.last_failure = ""
        descriptors = self.doors.open(self.plan.doors)
        argv = [*self.plan.argv, *(word for number in descriptors for word in ("--listen-fd", str(number)))]
        control = self.doors.open_control(self.plan.ready.socket) if self.plan.ready.socket else None
        if control is not None:
            argv += ["--control-fd", str(control)]
            descriptors.append(control)
        environ = {**processes.child_environ(), **mark(self.paths, self.plan.name, self.fingerprint)}
        self.taken, self.refused = files.stamp(self.plan.watched), ""
        log = self.paths.log(self.plan.name)
        try:
            self._popen = processes.start(argv, log, environ, descriptors)
        except processes.UnwritableLogError as error:
            if first and not self._persists:
                raise
            # A disk that is full or worn out must not end the calls of a hub that runs.
            self._popen = processes.start(argv, os.devnull, environ, descriptors)
            self.say(f"{self.plan.name} runs without a log: {error.message}")
        self.process = processes.identify(self._popen.pid)
        if self.process is None:
            seen = self._popen.poll() is not None
            if not seen:  # without a free descriptor, for one; to wait for its end would be for ever
                self._popen.kill()
            self._popen.wait()
            raise MachineError(self._report_end() if seen else f"{self.plan.name} was started and can't be watched")
        self._remember()

    def _remember(self) -> None:
        """Write the record, where there is a process. Without it the process runs on, and the next supervisor knows it
        by its mark."""
        if self.process is None:
            return
        identity = Identity(self.process, self.plan, self.fingerprint, self.since, self.taken)
        try:
            write_record(self.paths, identity)
            self._recorded, self.unrecorded = self.process, ""
        except MachineError as error:
            if not self.unrecorded:
                self.say(f"{self.plan.name} runs without a record: {error.message}")
            self.unrecorded = error.message

    async def _live(self, process: ProcessId) -> float | None:
        """Watch the process until it ends; for how many seconds it was ready, None if it never was."""
        ready_at: float | None = None
        adopted = self._popen is None
        answers = ""

        def note(another: str) -> None:
            nonlocal answers
            answers = another

        async def watch_ready() -> None:
            nonlocal ready_at
            limit, away = ANSWER_SECONDS if adopted else READY_SECONDS, True
            while ready_at is None and away:
                began = time.monotonic()
                with anyio.move_on_after(limit):
                    await wait_ready(self.plan.ready, process, note)
                    ready_at = time.monotonic()
                away = time.monotonic() - began > limit + AWAY_SECONDS
            because = f": {answers}" if answers else ""
            if ready_at is None and adopted:
                ready_at = time.monotonic()
                self.say(f"{self.plan.name} (pid {process.pid}) is there and does not answer{because}; it is not ended")
            if ready_at is not None:
                self._set("running")
                if self._settled.is_set():
                    await self.returned(self)
                self._settled.set()
            else:
                self.last_failure = f"{self.plan.name} was not ready within {READY_SECONDS:.0f} s{because}"
                processes.send_signal(process, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_ready)
            await processes.wait_until_gone(process)
            tasks.cancel_scope.cancel()
        if self._popen is not None:
            self._popen.wait()
        return None if ready_at is None else time.monotonic() - ready_at

    def _forget(self) -> None:
        if self._recorded is not None:
            remove_record(self.paths, self.plan.name, self._recorded)
        self._recorded, self.unrecorded = None, ""

    def _report_end(self) -> str:
        """What to tell of a process that ended by itself, and below it the last lines of its log. `lkhub logs` knows
        them by their mark, and shows them as what the process wrote (lkhub/log_lines.py)."""
        code = self._popen.poll() if self._popen else None
        how = (
            "ended" if code is None else f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        )
        log = self.paths.log(self.plan.name)
        try:
            lines = files.read_tail(log, REPORT_LINES)
        except MachineError as error:  # it is started again all the same
            return f"{self.plan.name} {how}; {error.message}"
        quoted = [f"the end of {log}:", *lines] if lines else [f"nothing is in {log}"]
        return "\n".join([f"{self.plan.name} {how}", *(f"{QUOTED}{line[:300]}" for line in quoted)])

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state, self.since, self.hangs, self.stopped = state, time.time(), "", False


Returned = Callable[[Child], Awaitable[None]]
