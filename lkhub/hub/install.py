"""Makes a hub a service of this machine, and takes that back: what `lkhub install` and `uninstall` do as root."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from grp import getgrnam

from lkhub.errors import MachineError
from lkhub.host.control import ask
from lkhub.host.files import explain_os_errors, read_text, remove, write_private
from lkhub.host.journal import read_journal
from lkhub.host.programs import copy_programs, name_build, point_to
from lkhub.host.system_user import ensure_system_user, is_made_by_us
from lkhub.host.systemd import find_start, is_active, require_systemd, systemctl, try_systemctl
from lkhub.hub.locate import DEFAULT_SPEC
from lkhub.hub.running import is_running
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import COMMAND, CURRENT, ENVIRONMENT, FOLDER, INSTALLED, PROGRAMS, SPEC, UNIT, UNIT_FILE, USER
from lkhub.prepare.service import PreparedService, prepare_service
from lkhub.wire.control import LeaveRequest

# The service's user reads the spec and can't change it; others of the machine read neither.
_FOLDER_MODE, _SPEC_MODE = 0o750, 0o640

# A supervisor that leaves has nothing to wait for; systemd notices within a moment.
END_SECONDS = 10.0
POLL_SECONDS = 0.1

# Of the journal of a service that does not start.
LAST_LINES = 15

Tell = Callable[[str], None]


def install_service(given: str | None, environ: Mapping[str, str], tell: Tell) -> Plan:
    """Make the hub of a spec a service, or make the service that runs match it. Without `given` it is the spec that is
    installed, else hub.yaml in the current folder. `tell` hears of each step. Everything is judged before the first
    change. Raises HubError."""
    require_systemd()
    source = given or (SPEC if os.path.exists(SPEC) else DEFAULT_SPEC)
    service = prepare_service(source, environ)
    plan = service.plan
    _require_free(plan)
    folder = f"{PROGRAMS}/{name_build()}"
    tell(f"copying lkhub to {folder}")
    copy_programs(folder)
    point_to(folder, CURRENT)
    if not os.path.lexists(COMMAND):
        point_to(f"{CURRENT}/bin/lkhub", COMMAND)
    if ensure_system_user(USER, plan.installation.state):
        tell(f"made the user {USER}")
    _write_files(service)
    tell(f"starting {UNIT}")
    _start(plan.paths)
    return plan


def _require_free(plan: Plan) -> None:
    if is_running(plan.paths) and not is_active(UNIT):
        raise MachineError(
            f"a hub runs in {plan.paths.root}, and not as a service", hints=("`lkhub down` stops it; then install",)
        )


def _write_files(service: PreparedService) -> None:
    group = getgrnam(USER).gr_gid
    with explain_os_errors(FOLDER, "write"):
        os.makedirs(FOLDER, mode=_FOLDER_MODE, exist_ok=True)
        os.chown(FOLDER, 0, group)
        os.chmod(FOLDER, _FOLDER_MODE)
    before = read_text(SPEC)
    if before is not None and before != service.spec:
        write_private(f"{SPEC}.before", before, _SPEC_MODE, (0, group))
    write_private(SPEC, service.spec, _SPEC_MODE, (0, group))
    if service.environment:
        write_private(ENVIRONMENT, service.environment)
    else:
        remove(ENVIRONMENT)
    write_private(UNIT_FILE, service.unit.text, service.unit.mode)


def _start(paths: StatePaths) -> None:
    """Start the unit, or have it take the spec over."""
    systemctl("daemon-reload")
    systemctl("enable", "--quiet", UNIT)
    runs = is_active(UNIT)
    replace = runs and _is_outdated()
    if replace:
        # The next supervisor adopts the processes of this one, so calls go on.
        ask(paths.control, LeaveRequest())
        _await_end()
    done = try_systemctl("reload" if runs and not replace else "start", UNIT)
    if done.code != 0:
        lines = "\n".join(f"    {line}" for line in read_journal(UNIT, lines=LAST_LINES)[0])
        state = "the hub runs on as it was" if runs else "the hub is not up"
        raise MachineError(
            f"{UNIT} does not take the spec, and {state}; its journal ends with\n{lines}",
            hints=(f"edit {SPEC}, then `lkhub install` again", f"`journalctl --unit {UNIT}` has all of it"),
        )


def _is_outdated() -> bool:
    """Whether the supervisor was started before its unit or its program was put in place."""
    started = find_start(UNIT)
    return started is not None and any(os.lstat(path).st_mtime > started for path in (UNIT_FILE, CURRENT))


def _await_end() -> None:
    deadline = time.monotonic() + END_SECONDS
    while is_active(UNIT) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def uninstall_service(tell: Tell) -> tuple[str, ...]:
    """Stop the service, and remove what `install_service` has put in place, but for the spec and the hub's keys and
    data. Returns the commands that remove these; none where nothing is left. A call is given its time to end."""
    require_systemd()
    if os.path.exists(UNIT_FILE):
        tell(f"stopping {UNIT}")
        systemctl("disable", "--now", "--quiet", UNIT)
        remove(UNIT_FILE)
        systemctl("daemon-reload")
        try_systemctl("reset-failed", UNIT)
    if os.path.islink(COMMAND) and os.readlink(COMMAND).startswith(f"{CURRENT}/"):
        remove(COMMAND)
    if os.path.isdir(PROGRAMS):
        tell(f"removing {PROGRAMS}")
        with explain_os_errors(PROGRAMS, "remove"):
            shutil.rmtree(PROGRAMS)
    left = [path for path in (FOLDER, INSTALLED.state) if os.path.exists(path)]
    commands = [f"rm -r {' '.join(left)}"] if left else []
    # While its files are there: another user might get its number, and with it the keys.
    return (*commands, *([f"userdel {USER}"] if is_made_by_us(USER) else []))
