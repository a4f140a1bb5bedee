"""All watchers of a hub. A watcher does not write into the supervisor: it has its own state, which the report
collects."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio.to_thread

from lkhub.host.lock import Lock
from lkhub.host.service_manager import find_watchdog, tell_manager
from lkhub.supervise.answering import Answering
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.addresses import Addresses
from lkhub.supervise.watch.certificates import Certificates
from lkhub.supervise.watch.guard import Guard
from lkhub.supervise.watch.hanging import Hanging
from lkhub.supervise.watch.logs import rotate_logs
from lkhub.supervise.watch.open_rooms import OpenRooms
from lkhub.supervise.watch.outside import Outside
from lkhub.supervise.watch.reports import Reports
from lkhub.supervise.watch.router import Renewal
from lkhub.supervise.watch.state_directory import StateDirectory

_SEE_OUTSIDE = "see who came from outside"


@dataclass(frozen=True)
class Watcher:
    """`look` is called again `seconds` after it has ended. `what` follows "can't"."""

    what: str
    look: Callable[[], Awaitable[object]]
    seconds: float


class Watchers:
    """The watchers of one hub. They begin with `start`."""

    def __init__(self, supervisor: Supervisor, lock: Lock, answering: Answering) -> None:
        self._supervisor = supervisor
        self._answering = answering
        self.guard = Guard(supervisor.say, supervisor.shared.timings)
        self.addresses = Addresses(supervisor)
        self.certificates = Certificates(supervisor)
        self.hanging = Hanging(supervisor)
        self.open_rooms = OpenRooms(supervisor)
        self.reports = Reports(supervisor, self.hanging)
        self.router = Renewal(supervisor.paths, supervisor.say, timings=supervisor.shared.timings)
        self.outside = Outside(supervisor.paths, time.time)
        self.state_directory = StateDirectory(
            lock,
            supervisor,
            answering,
            write_missing=self.outside.write_missing,
            write_again=self.router.write_again,
        )
        supervisor.in_force.heard.append(self.outside.follow)
        supervisor.before_replacing.append(self.open_rooms.look_last)

    def list(self) -> tuple[Watcher, ...]:
        timings = self._supervisor.shared.timings
        silence = find_watchdog()
        # Half of the time is what sd_watchdog_enabled(3) advises.
        alive = (Watcher("tell the service manager that it runs", self.tell_alive, silence / 2),) if silence else ()
        return (
            *alive,
            Watcher("keep the state directory whole", self.state_directory.look, timings.tick),
            Watcher("see whether processes answer", self.hanging.look, timings.hanging),
            Watcher("rotate logs", self.rotate_logs, timings.tick),
            Watcher("make the change that waits", self._supervisor.apply_pending, timings.tick),
            Watcher(_SEE_OUTSIDE, self.look_outside, timings.outside),
            Watcher("see this machine's addresses", self.addresses.look, timings.addresses),
            Watcher("see whether the certificate was replaced", self.certificates.look, timings.certificates),
            Watcher("renew the router's port mappings", self.router.keep, timings.router),
            Watcher("keep the operator's rooms open", self.open_rooms.look, timings.tick),
            Watcher("answer commands", self._answering.look, timings.tick),
        )

    def start(self) -> None:
        for watcher in self.list():
            self._supervisor.tasks.start_soon(self.guard.watch, watcher.what, watcher.look, watcher.seconds)

    async def look_outside(self, max_age: float = 0.0) -> None:
        """Refresh the statuses of the engine's processes, and the record of which paths clients have used."""
        await self.reports.refresh(max_age)
        self.outside.note((*self.reports.list_statuses(), *self.reports.list_before()))

    async def look_for_status(self, max_age: float) -> None:
        """`look_outside` for a command. A failure is in the answer to the command, among the watchers that fail."""
        await self.guard.look(_SEE_OUTSIDE, lambda: self.look_outside(max_age))

    async def tell_alive(self) -> None:
        """Tell the service manager that this process goes on: it ends a supervisor that is silent."""
        tell_manager(WATCHDOG=1)

    async def rotate_logs(self) -> None:
        """Rotate the large logs."""
        # In a thread: megabytes are copied, which takes long on a slow disk.
        paths = [self._supervisor.paths.log(name) for name in (*self._supervisor.children, "hub")]
        await anyio.to_thread.run_sync(rotate_logs, paths)
