"""Keeps a worker of an agent running, as the one process of a unit or the first of a container that the agent has to
itself.

It is the agent's own user. It reads the folder that the hub fills for this agent, and writes nothing there: when the
hub changes the file, as for another key, it starts a new worker. The earlier one goes on until its successor is
connected to media, which may have to be installed first, and then finishes its calls. A worker that has ended is
started again, less and less often. When the hub has ended, so do the worker and, later, this process. Where the folder
was replaced, what is mounted here stays the old one: this process ends, to be started with the new one.
"""

import contextlib
import math
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lkhub.errors import describe_error
from lkhub.host.agent_home import AgentHome, InstallFailure
from lkhub.host.exits import describe_exit
from lkhub.host.rights import adopt_left
from lkhub.host.service_manager import tell_manager
from lkhub.plan.agents import RETIRING_SECONDS
from lkhub.supervise.backoff import SETTLED_SECONDS, Backoff
from lkhub.supervise.told import Told
from lkhub.wire.agent import (
    ENDED_FILE,
    GIVEN_FILE,
    RESTART_FILE,
    GivenAgent,
    KeptWorker,
    parse_given,
)

# A change is taken up within a second, and a look costs two calls of the system.
LOOK_SECONDS = 1.0

FIRST_DELAY_SECONDS, MOST_DELAY_SECONDS = 1.0, 30.0

# A worker ends within a few seconds once it has no call. Without media it has none.
ORPHANED_SECONDS = 10.0

# A worker that its shell has told ends within this where it has no call.
TOLD_SECONDS = 5.0

# A hub that is restarted is there again before; one that was stopped needs no agents until its start starts them.
GONE_SECONDS = 60.0

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


@dataclass
class _Worker:
    """A process of the agent, which leads a group. `until`: when it is killed, in seconds of the monotonic clock; None:
    it was not told to end. `since` and `address` as in KeptWorker. `told_group`: it has ended and left others of its
    group, which are told at this time."""

    pid: int
    started: float
    until: float | None = None
    since: float | None = None
    address: str = ""
    told_group: float | None = None


@dataclass
class AgentKeeper:
    """Keeps the worker running that `argv` starts, by what the hub has put into the folder `given`. `home` is the
    agent's own folder."""

    given: str
    argv: tuple[str, ...]
    home: str = ""
    _current: _Worker | None = None
    _retiring: list[_Worker] = field(default_factory=list)
    _seen: bytes | None = None
    _ending: bool = False
    _restarts: int = 0
    _ended: int | None = None
    _next: float = 0.0
    _without_media: float | None = None
    _was_up: bool = False
    _gone: float | None = None
    _told: int | None = None
    _failure: str = ""
    _told_manager: Told = field(default_factory=Told)
    _backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_DELAY_SECONDS, MOST_DELAY_SECONDS))

    def run(self) -> int:
        """Keep it running until SIGTERM or the end of the hub, and return when the last worker has ended: 1 where this
        process is to be started again, else 0. SIGHUP asks for a new worker."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        adopt_left()
        self._tell("waits for the hub")
        tell_manager(READY=1)
        while not (self._ending or self._is_gone()) or self._list():
            self._look_guarded()
            got = signal.sigtimedwait(_SIGNALS, LOOK_SECONDS)
            if got is None:
                continue
            if got.si_signo == signal.SIGHUP:
                self._next = 0.0
                self._replace()
            elif got.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._end()
        return 1 if self._is_replaced() else 0

    def _look_guarded(self) -> None:
        """Look once. An error ends neither this process nor the calls of its workers, which would end with it."""
        try:
            self._look()
            self._tell_of_workers()
        except Exception as error:
            if (failure := describe_error(error)) != self._failure:
                _say(f"can't see to the agent: {failure}")
            self._failure = failure
        else:
            self._failure = ""

    def _list(self) -> list[_Worker]:
        return [*self._retiring, *([self._current] if self._current else [])]

    def _look(self) -> None:
        self._reap()
        self._see_left()
        self._tell_succeeded()
        self._kill_overdue()
        if self._ending or self._has_no_hub():
            return
        if self._is_replaced():
            _say(
                f"{self.given} is another folder by now; this process ends with its calls, to be started with that one"
            )
            self._end()
            return
        found = self._read()
        if found is not None and found != self._seen:
            if self._seen is not None:
                _say("the hub has changed what this agent gets; a new worker starts")
            self._seen, self._next = found, 0.0
            self._replace()
        if self._current is None and self._seen is not None and time.monotonic() >= self._next:
            self._start()

    def _has_no_hub(self) -> bool:
        """Whether the hub has ended. As long as this process has not known the hub to be up, it waits for its start."""
        try:
            told = os.stat(f"{self.given}/{ENDED_FILE}").st_mtime_ns
        except OSError:
            self._was_up, self._gone = True, None
            return False
        if self._gone is not None and told != self._told:
            # The hub starts, and soon needs this unit, which it can't start.
            self._gone = time.monotonic()
        self._told = told
        if self._was_up and self._gone is None:
            self._gone = time.monotonic()
            self._retire()
            self._tell("waits for the hub")
        return True

    def _is_replaced(self) -> bool:
        """Whether the folder that is mounted here was removed, as where the hub's state was removed and made anew."""
        with contextlib.suppress(OSError):
            return os.stat(self.given).st_nlink == 0
        return False

    def _is_gone(self) -> bool:
        return self._gone is not None and time.monotonic() - self._gone >= GONE_SECONDS

    def _read(self) -> bytes | None:
        """What the hub gives; None where it gives nothing, and what it has given before still counts."""
        try:
            text = Path(self.given, GIVEN_FILE).read_bytes()
        except OSError:
            return None
        asked = b""
        with contextlib.suppress(OSError):
            asked = Path(self.given, RESTART_FILE).read_bytes()
        return text + b"\0" + asked

    def _start(self) -> None:
        try:
            # A group of its own, so that nothing of it is left when it is killed; and it hears the signals again.
            pid = os.posix_spawn(self.argv[0], self.argv, os.environ, setsigmask=[], setpgroup=0)
        except OSError as error:  # such as no memory
            self._start_later(f"{self.argv[0]} can't be started: {(error.strerror or str(error)).lower()}", 0.0)
            return
        self._current, self._ended = _Worker(pid, time.monotonic()), None
        self._tell("running")

    def _replace(self) -> None:
        """Have another worker take the place of this one, which goes on until then. Where an older one goes on already,
        this one need not."""
        if self._current is None:
            return
        if any(worker.until is None for worker in self._retiring):
            self._tell_to_end(self._current)
        self._retiring.append(self._current)
        self._current = None

    def _tell_succeeded(self) -> None:
        """Tell those to end whose successor takes rooms, or that take none themselves."""
        waiting = [worker for worker in self._retiring if worker.until is None]
        if not waiting:
            return
        is_succeeded = self._current is not None and bool(self._find_connection(self._current))
        for worker in waiting:
            if is_succeeded or not self._find_connection(worker):
                self._tell_to_end(worker)

    def _find_connection(self, worker: _Worker) -> str:
        # Imported here: it costs 20 ms, and an agent that waits for the hub does without.
        from lkhub.host.sockets import find_connection

        return find_connection(worker.pid, self._find_media()[1])

    def _tell_to_end(self, worker: _Worker) -> None:
        """Have it finish its calls. A second signal would end it at once."""
        if worker.until is None:
            worker.until = time.monotonic() + RETIRING_SECONDS
            self._signal(worker, signal.SIGTERM)

    def _retire(self) -> None:
        """Tell all to end."""
        if self._current is not None:
            self._retiring.append(self._current)
            self._current = None
        for worker in self._retiring:
            self._tell_to_end(worker)

    def _end(self) -> None:
        if self._ending:
            # As a worker of livekit-agents takes it: a second one ends its calls.
            for worker in self._list():
                self._kill(worker)
            return
        self._ending = True
        self._tell("finishes its calls")
        self._retire()

    def _reap(self) -> None:
        # In a container, processes whose parents have ended are children of this one too.
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self._notice_end(ended[0], os.waitstatus_to_exitcode(ended[1]))

    def _notice_end(self, pid: int, code: int) -> None:
        for worker in [each for each in self._list() if each.pid == pid]:
            if worker.until is not None and code != -signal.SIGKILL:
                worker.told_group = time.monotonic() + TOLD_SECONDS
                continue
            # Whatever it has started ends with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            if worker in self._retiring:
                self._retiring.remove(worker)
                self._end_left()
                continue
            self._current = None
            self._end_left()
            # However long an installation takes that fails, nothing was well.
            failed = self._find_failure() is not None
            well = 0.0 if failed else max(0.0, time.monotonic() - worker.started - SETTLED_SECONDS)
            self._start_later(f"the worker {describe_exit(code)}", well, code)

    def _start_later(self, why: str, well: float, ended: int | None = None) -> None:
        """`well`: for how many seconds the worker was well that ended so (None: it could not be started)."""
        self._ended = ended
        delay = self._backoff.next_delay(well)
        self._restarts += 1
        self._next = time.monotonic() + delay
        _say(f"{why}; it starts again in {delay:.0f} s")
        self._tell("starts again soon")

    def _see_left(self) -> None:
        """See to the groups of workers that were told to end and have ended. A shell or npm ends at SIGTERM, does not
        always pass it on, and leaves the worker, which finishes its calls."""
        now = time.monotonic()
        for worker in [each for each in self._retiring if each.told_group is not None]:
            tells = worker.told_group is not None and now >= worker.told_group
            try:
                os.killpg(worker.pid, signal.SIGTERM if tells else 0)
            except (ProcessLookupError, PermissionError):
                self._retiring.remove(worker)
                self._end_left()
            if tells:
                worker.told_group = math.inf

    def _end_left(self) -> None:
        """Kill what ended workers have left outside their groups. While a worker runs, it is the parent of that, and
        this process is once the worker has ended."""
        # Imported here: it costs 20 ms, as in _find_connection.
        import psutil

        if any(worker.told_group is not None for worker in self._retiring):
            return  # some of it is at work for calls
        kept = {worker.pid for worker in self._list()}
        with contextlib.suppress(psutil.Error, OSError):
            for child in psutil.Process().children():
                if child.pid not in kept:
                    child.kill()

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        orphaned = (self._ending or self._gone is not None) and self._is_without_media(now)
        for worker in self._retiring:
            if orphaned or (worker.until is not None and now >= worker.until):
                self._kill(worker)

    def _is_without_media(self, now: float) -> bool:
        """Whether media has not answered for ORPHANED_SECONDS."""
        if self._answers():
            self._without_media = None
            return False
        self._without_media = self._without_media or now
        return now - self._without_media >= ORPHANED_SECONDS

    def _answers(self) -> bool:
        host, port = self._find_media()
        if not host:
            return True  # not known, and a call may be going on
        try:
            with socket.create_connection((host, port), timeout=1):
                return True
        except OSError:
            return False

    def _find_media(self) -> tuple[str, int]:
        """Where media is, as the agent is told; no host where that is not known."""
        try:
            given = self._parse()
            url = urlsplit(given.variables["LIVEKIT_URL"] if given else "")
            return url.hostname or "", url.port or 80
        except (ValueError, LookupError):
            return "", 0

    def _parse(self) -> GivenAgent | None:
        """What the hub gives, as it was last read; None where that is nothing that can be used."""
        with contextlib.suppress(ValueError, LookupError):
            return parse_given((self._seen or b"").partition(b"\0")[0].decode())
        return None

    def _kill(self, worker: _Worker) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
        if worker.told_group is None:
            self._signal(worker, signal.SIGKILL)

    def _signal(self, worker: _Worker, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, number)

    def _tell_of_workers(self) -> None:
        """Tell the service manager which worker is connected to media, where that is due."""
        if not self._told_manager.is_due():
            return
        for worker in self._list():
            if worker.since is None and not self._installs(worker):
                worker.since = time.time()
            worker.address = self._find_connection(worker)
        self._tell(self._told_manager.state)

    def _installs(self, worker: _Worker) -> bool:
        # Imported here: it costs 20 ms, as in _find_connection.
        from lkhub.host.sockets import is_installing

        return is_installing(worker.pid)

    def _find_failure(self) -> InstallFailure | None:
        """Why what it has to run could not be installed."""
        given = self._parse()
        return AgentHome(self.home, None).find_failure(given.inputs) if given else None

    def _tell(self, state: str) -> None:
        workers = (KeptWorker(each.pid, each.since, each.address, each.until is not None) for each in self._list())
        self._told_manager.tell(state, self._restarts, workers, self._find_failure(), self._ended)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # what reads it may have ended
        print(text, file=sys.stderr, flush=True)
