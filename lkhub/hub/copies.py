"""The copies of lkhub that a service has, and the hub that runs by one of them: what `lkhub upgrade` acts on."""

import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator

from packaging.version import Version

from lkhub.errors import HubError, MachineError
from lkhub.host.another import AnotherLkhub
from lkhub.host.control import NotRunningError, ask
from lkhub.host.files import FIXED_PLACE, explain_os_errors, open_lock
from lkhub.host.programs import add_uv, remove_half_made, remove_programs
from lkhub.host.release import copy_version, copy_wheel
from lkhub.host.selinux import restore_labels
from lkhub.host.systemd import Systemd
from lkhub.hub.condition import read_condition
from lkhub.hub.install import list_used
from lkhub.hub.look import find_processes
from lkhub.hub.progress import Progress
from lkhub.hub.rooms import HubRooms, look_at_rooms
from lkhub.hub.running import find_left
from lkhub.hub.upgrade import Wanted
from lkhub.livekit.tokens import is_probe_room
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import UNIT, Service
from lkhub.state.upgrade import (
    Condition,
    UpgradeRecord,
    name_lock,
    read_upgrade,
    remove_upgrade,
    write_upgrade,
)
from lkhub.wire.control import StatusRequest
from lkhub.wire.upgrade import Look

# A supervisor that was killed is started again after 5 s, and loads for a second or two.
SETTLE_SECONDS = 30.0
POLL_SECONDS = 0.5

# The `lkhub install` of an upgrade that was killed goes on by itself, for as long as a verification takes.
LOCK_SECONDS = 120.0


class ServiceCopies:
    """The copies of one service. `held` is the lock of its upgrades."""

    def __init__(self, service: Service, held: int) -> None:
        self._service, self._held = service, held
        self._paths = StatePaths(service.installation.state)

    def find_current(self) -> str:
        return os.path.realpath(self._service.current)

    def ask_version(self, folder: str) -> Version:
        return AnotherLkhub(folder).ask_version()

    def make(self, wanted: Wanted) -> str:
        parent, for_all = self._service.programs, not self._service.of_user
        made = (
            copy_wheel(wanted.wheel, parent, for_all=for_all)
            if wanted.wheel
            else copy_version(str(wanted.version), parent, for_all=for_all)
        )
        # `lkhub install` has put it there, and it need not be anywhere else.
        if os.path.isfile(uv := f"{self.find_current()}/bin/uv"):
            add_uv(made, uv)
        restore_labels(parent)
        # As find_current, also where the folder is below a link, as a home directory may be.
        return os.path.realpath(made)

    def remove(self, folder: str) -> None:
        # One that is in use is removed after another upgrade.
        if os.path.realpath(folder) not in self._list_used():
            shutil.rmtree(folder, ignore_errors=True)

    def remove_half_made(self) -> None:
        remove_half_made(self._service.programs)
        AnotherLkhub(self.find_current()).end_tries(self._user)

    def remove_others(self, *kept: str) -> None:
        remove_programs(self._service.programs, (*kept, *self._list_used()))

    def _list_used(self) -> tuple[str, ...]:
        """The copies by which processes of the hub run, and the one by which this command does: it still has modules to
        load, and takes from there what a wheel needs."""
        return (os.path.realpath(sys.prefix), *list_used(self._service))

    def look(self, folder: str) -> Look:
        return AnotherLkhub(folder).look(os.environ)

    def try_out(self, folder: str) -> None:
        AnotherLkhub(folder).try_out(self._user)

    @property
    def _user(self) -> str:
        """The user that the hub runs as; "" where it is the one who types this."""
        return "" if self._service.of_user else self._service.installation.user

    def ask_condition(self, folder: str, *, anew: bool = False) -> Condition:
        lkhub, systemd = AnotherLkhub(folder), Systemd(self._service.of_user)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            condition = self._ask_condition(lkhub, anew=anew)
            if condition.running or time.monotonic() > deadline or not systemd.is_starting(UNIT):
                return condition
            time.sleep(POLL_SECONDS)

    def _ask_condition(self, lkhub: AnotherLkhub, *, anew: bool) -> Condition:
        status = lkhub.ask_status(self._paths.root)
        try:
            if status and (anew or status["verified"] is None) and status["hub"]["state"] in ("running", "degraded"):
                lkhub.verify(self._paths.root)
                status = lkhub.ask_status(self._paths.root)
            return read_condition(status) if status else Condition()
        except (LookupError, TypeError, AttributeError):
            raise MachineError("the status of the hub can't be read: it is another version's") from None

    def count_people(self) -> int | None:
        try:
            report = ask(self._paths.control, StatusRequest(max_age=0.0))
            if report.media is not None and report.media.rooms is not None:
                people = sum(room.participants for room in report.media.rooms if not is_probe_room(room.name))
                # Those of media processes that finish their calls are interrupted with the relay and the edge, too.
                before = [each.people for each in report.retired if "knows-participants" in each.roles]
                return None if None in before else people + sum(each or 0 for each in before)
            # A livekit-server of the operator's.
            return sum(len(room.participants) for room in look_at_rooms(HubRooms(self._paths)))
        except NotRunningError as error:
            return None if error.busy or find_left(self._paths) else 0
        except HubError:
            return None

    def list_beside(self) -> tuple[int, ...]:
        return tuple(each.process.pid for each in find_processes(self._paths).beside)

    def install(self, folder: str, *, now: bool) -> None:
        AnotherLkhub(folder).install(os.environ, now=now, held=self._held)

    def read_record(self) -> UpgradeRecord | None:
        return read_upgrade(self._service)

    def write_record(self, record: UpgradeRecord) -> None:
        write_upgrade(self._service, record)

    def remove_record(self) -> None:
        remove_upgrade(self._service)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextlib.contextmanager
def opening_copies(service: Service, progress: Progress) -> Iterator[ServiceCopies]:
    """The copies of a service, for the only upgrade of that service. Waits for another one, and raises MachineError
    where that goes on."""
    path = name_lock(service)
    with explain_os_errors(path, "write", FIXED_PLACE):
        held = open_lock(path)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise MachineError("another `lkhub upgrade` goes on", hints=("wait for its end, then try again",))
            progress.tell("waiting for another `lkhub upgrade`, or for what one that was killed has started")
            time.sleep(POLL_SECONDS)
        yield ServiceCopies(service, held)
    finally:
        os.close(held)
