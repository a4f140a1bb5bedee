"""One process under the supervisor: its states, its restarts, its end."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import anyio
import anyio.abc
from pydantic import TypeAdapter

from lkhub.errors import MachineError
from lkhub.host import files, processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.plan.model import DRAIN_SECONDS, Fingerprint, ProcessPlan
from lkhub.plan.paths import StatePaths
from lkhub.supervise.backoff import Backoff
from lkhub.supervise.doors import Doors
from lkhub.supervise.ready import wait_ready

State = Literal["starting", "running", "backoff", "stopping", "stopped", "failed"]

Ending = Literal["drain", "now", "replace"]
"""How a process ends. `drain`: people in a call may finish, up to a limit. `now`: they are told that the hub
stops. `replace`: killed, because another takes its place at once. An orderly stop of livekit-server tells
clients to leave for good (reason SERVER_SHUTDOWN); when it is gone without a word they reconnect by themselves."""

# Media is ready in 0.1 s here; a small board under load takes a few seconds. Who is not ready by then hangs.
READY_SECONDS = 30.0

# A process that is well answers in milliseconds.
STATUS_SECONDS = 2.0

# After the drain limit the process stops by itself; this is what it may take beyond that.
STOP_GRACE_SECONDS = 5.0

# Two signals sent at once arrive as one; what needs no second one ends within this.
SECOND_SIGNAL_SECONDS = 0.2

# Lines of the log that a crash report shows: the error and what led to it.
REPORT_LINES = 8


@dataclass(frozen=True)
class Identity:
    """A process on disk: who it is, which version of the plan it runs, and since when (epoch seconds)."""

    process: ProcessId
    plan: ProcessPlan
    fingerprint: Fingerprint
    since: float

    def dump(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def parse(text: str) -> "Identity":
        """Raises ValueError where the text is not one of ours."""
        return TypeAdapter(Identity).validate_json(text)


@dataclass
class Child:
    """A process that is kept running until it is stopped. `say` hears of everything that happens to it, and
    `returned` is called when it is ready again after it ended by itself."""

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
        return child

    async def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start (or take over) the process and keep it running from then on; return when it is ready.

        Raises MachineError where the first start fails; nothing is left running then.
        """
        self._wanted = True
        self._settled, self._ended, self._scope = anyio.Event(), anyio.Event(), anyio.CancelScope()
        tasks.start_soon(self._keep_running)
        await self._settled.wait()
        if self.state == "failed":
            raise MachineError(self.last_failure)

    async def stop(self, how: Ending) -> None:
        """End the process, and do not start it again."""
        self._wanted = False
        self._set("stopping")
        if self.process is not None:
            await end_process(self.process, how)
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
        try:
            async with local_client(STATUS_SECONDS, socket=self.plan.ready.socket) as client:
                return (await client.get("http://control/status")).raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return None

    def can_reload(self, plan: ProcessPlan, fingerprint: Fingerprint) -> bool:
        """Whether this process becomes `plan` by reading its files again."""
        # One file more, as that of a secret, is a change of its files like any other.
        same_plan = replace(self.plan, files=plan.files) == plan
        same_program = same_plan and self.fingerprint.program == fingerprint.program
        return plan.reloads and same_program and self.state == "running"

    async def reload(self, fingerprint: Fingerprint) -> None:
        """Let the process read its files again; it interrupts nobody. MachineError, and nothing changed, where it
        refuses them."""
        try:
            async with local_client(READY_SECONDS, socket=self.plan.ready.socket) as client:
                answer = await client.post("http://control/reload")
            told = "" if answer.is_success else answer.json()["error"]["message"]
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            told = f"it does not answer ({type(error).__name__})"
        if told:
            raise MachineError(f"{self.plan.name} refuses its new configuration: {told}")
        self.fingerprint = fingerprint
        with contextlib.suppress(MachineError):  # without it the next supervisor replaces this process, no more
            self._remember()

    def stop_now(self) -> None:
        """Make a drain that is under way end at once."""
        if self.process is not None:
            processes.send_signal(self.process, signal.SIGTERM)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.plan.name,
            "pid": self.process.pid if self.process else None,
            "state": self.state,
            "since": self.since,
            "restarts": self.restarts,
        }

    async def _keep_running(self) -> None:
        try:
            with self._scope:
                while self._wanted:
                    await self._run_once()
                    if self.state == "failed":
                        return
        finally:
            self._ended.set()
            self._settled.set()

    async def _run_once(self) -> None:
        """One life of the process, and the wait before its next one."""
        first = not self._settled.is_set()
        well: float | None = None
        try:
            if self.process is None:
                self._spawn()
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
            self._set("failed")
            self._forget()
            return
        delay = self._backoff.next_delay(well or 0.0)
        self.restarts += 1
        self.say(f"{self.last_failure}; " + (f"again in {delay:.1f} s" if delay else "starting it again"))
        self._set("backoff")
        await anyio.sleep(delay)

    def _spawn(self) -> None:
        self._set("starting")
        self.last_failure = ""
        descriptors = self.doors.open(self.plan.doors)
        argv = [*self.plan.argv, *(word for number in descriptors for word in ("--listen-fd", str(number)))]
        log = self.paths.log(self.plan.name)
        self._popen = processes.start(argv, log, processes.child_environ(), descriptors)
        self.process = processes.identify(self._popen.pid)
        if self.process is None:
            self._popen.wait()
            raise MachineError(self._report_end())
        try:
            self._remember()
        except MachineError:
            # Without its record the next supervisor would not know it.
            self._popen.kill()
            self._popen.wait()
            raise

    def _remember(self) -> None:
        assert self.process is not None
        identity = Identity(self.process, self.plan, self.fingerprint, self.since)
        files.write_private(self.paths.record(self.plan.name), identity.dump())

    async def _live(self, process: ProcessId) -> float | None:
        """Watch the process until it ends; for how many seconds it was ready, None if it never was."""
        ready_at: float | None = None

        async def watch_ready() -> None:
            nonlocal ready_at
            with anyio.move_on_after(READY_SECONDS):
                await wait_ready(self.plan.ready)
                ready_at = time.monotonic()
            if ready_at is not None:
                self._set("running")
                if self._settled.is_set():
                    await self.returned(self)
                self._settled.set()
            else:
                self.last_failure = f"{self.plan.name} was not ready within {READY_SECONDS:.0f} s"
                processes.send_signal(process, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_ready)
            await processes.wait_until_gone(process)
            tasks.cancel_scope.cancel()
        if self._popen is not None:
            self._popen.wait()
        return None if ready_at is None else time.monotonic() - ready_at

    def _forget(self) -> None:
        """Remove the record. One that can't be removed names a process that is gone, which harms nobody."""
        with contextlib.suppress(MachineError):
            files.remove(self.paths.record(self.plan.name))

    def _report_end(self) -> str:
        """What to tell of a process that ended by itself, with the last lines of its log."""
        code = self._popen.poll() if self._popen else None
        how = (
            "ended" if code is None else f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        )
        log = self.paths.log(self.plan.name)
        lines = "".join(f"\n    {line[:300]}" for line in files.read_tail(log, REPORT_LINES))
        return f"{self.plan.name} {how}; the end of {log}:{lines}"

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state, self.since = state, time.time()


Returned = Callable[[Child], Awaitable[None]]


async def end_process(process: ProcessId, how: Ending) -> None:
    """End a process: SIGTERM lets it drain, a second one stops it, SIGKILL ends what does not listen."""
    first = DRAIN_SECONDS + STOP_GRACE_SECONDS if how == "drain" else SECOND_SIGNAL_SECONDS
    for limit in () if how == "replace" else (first, STOP_GRACE_SECONDS):
        processes.send_signal(process, signal.SIGTERM)
        with anyio.move_on_after(limit):
            await processes.wait_until_gone(process)
            return
    processes.send_signal(process, signal.SIGKILL)
    await processes.wait_until_gone(process)
