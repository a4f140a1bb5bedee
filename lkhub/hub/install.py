"""Makes a hub a service of this machine, and takes that back: what `lkhub install` and `uninstall` do as root."""

import os
import time
from collections.abc import Mapping
from pwd import getpwnam

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import programs
from lkhub.host.commands import run_command
from lkhub.host.control import ask
from lkhub.host.files import explain_os_errors, read_text, remove, write_private
from lkhub.host.journal import read_journal
from lkhub.host.programs import copy_programs, name_build, point_to
from lkhub.host.system_user import ensure_system_user, find_group, is_made_by_us
from lkhub.host.systemd import find_main, find_start, is_active, require_systemd, systemctl, try_systemctl
from lkhub.hub.locate import DEFAULT_SPEC
from lkhub.hub.progress import Progress
from lkhub.hub.running import find_left, is_running
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import (
    COMMAND,
    CURRENT,
    ENVIRONMENT,
    FOLDER,
    HIDDEN,
    INSTALLED,
    PROGRAMS,
    SPEC,
    UNIT,
    UNIT_FILE,
    USER,
)
from lkhub.prepare.service import PreparedService, prepare_service
from lkhub.wire.control import LeaveRequest

# The service's user reads the spec and can't change it; others of the machine read neither.
_FOLDER_MODE, _SPEC_MODE = 0o750, 0o640

# A supervisor that leaves has nothing to wait for; systemd notices within a moment.
END_SECONDS = 10.0
POLL_SECONDS = 0.1

# Of the journal of a service that does not start.
LAST_LINES = 15


def install_service(given: str | None, environ: Mapping[str, str], progress: Progress) -> Plan:
    """Make the hub of a spec a service, or make the service that runs match it. Without `given` it is the spec that is
    installed, else hub.yaml in the current folder. `progress` is told each step. Everything is judged before the first
    change. Raises HubError."""
    require_systemd()
    source = given or (SPEC if os.path.exists(SPEC) else DEFAULT_SPEC)
    service = prepare_service(source, environ)
    plan = service.plan
    _require_free(plan)
    folder = f"{PROGRAMS}/{name_build()}"
    before = os.path.realpath(CURRENT)
    progress.tell(f"copying lkhub to {folder}")
    copy_programs(folder)
    if ensure_system_user(USER, plan.installation.state):
        progress.tell(f"made the user {USER}")
    _give_state(plan.paths)
    _write_files(service)
    progress.tell(f"starting {UNIT}")
    _start(plan, folder)
    programs.remove_programs(PROGRAMS, (folder, before))
    if not os.path.lexists(COMMAND):
        point_to(f"{CURRENT}/bin/lkhub", COMMAND)
    return plan


def is_another_here() -> bool:
    """Whether the current folder has a spec that differs from the installed one."""
    return os.path.exists(SPEC) and os.path.exists(DEFAULT_SPEC) and read_text(DEFAULT_SPEC) != read_text(SPEC)


def _require_free(plan: Plan) -> None:
    if is_running(plan.paths) and not is_active(UNIT):
        raise MachineError(
            f"a hub runs in {plan.paths.root}, and not as a service", hints=("`lkhub down` stops it; then install",)
        )


def _give_state(paths: StatePaths) -> None:
    """Give root's state directory to the service, as systemd would; but the record of firewall rules stays root's, who
    alone may change the firewall."""
    user = getpwnam(USER)
    if not os.path.isdir(paths.root) or os.stat(paths.root).st_uid == user.pw_uid:
        return
    with explain_os_errors(paths.root, "give away"):
        # The folder last: its owner tells the next run, and systemd, that all of it was given.
        for folder, _, files in os.walk(paths.root, topdown=False):
            for path in (*(os.path.join(folder, name) for name in files), folder):
                if path != paths.firewall:
                    os.lchown(path, user.pw_uid, user.pw_gid)


def _write_files(service: PreparedService) -> None:
    group = find_group(USER)
    with explain_os_errors(FOLDER, "write"):
        os.makedirs(FOLDER, mode=_FOLDER_MODE, exist_ok=True)
        os.chown(FOLDER, 0, group)
        os.chmod(FOLDER, _FOLDER_MODE)
    before = read_text(SPEC)
    if before is not None and before != service.spec:
        write_private(f"{SPEC}.before", before, _SPEC_MODE, (0, group))
    # A link leads to a file that the operator keeps elsewhere, unless the service would not see it there.
    real = os.path.realpath(SPEC)
    write_private(SPEC if real.startswith(HIDDEN) else real, service.spec, _SPEC_MODE, (0, group))
    if service.environment:
        write_private(ENVIRONMENT, service.environment)
    write_private(UNIT_FILE, service.unit.text, service.unit.mode)
    if not service.environment:
        remove(ENVIRONMENT)


def _start(plan: Plan, folder: str) -> None:
    """Start the unit, or have it take the spec over."""
    systemctl("daemon-reload")
    systemctl("enable", "--quiet", UNIT)
    runs = is_active(UNIT)
    replace = runs and _is_outdated(plan, folder)
    if replace:
        # The next supervisor adopts the processes of this one, so calls go on.
        main = find_main(UNIT)
        ask(plan.paths.control, LeaveRequest())
        _await_end(main)
    point_to(folder, CURRENT)
    done = try_systemctl("reload" if runs and not replace else "start", UNIT)
    if done.code == 0 and not (runs and not replace):
        # A start that was on its way had the spec of before, and one that adopted processes is ready even if it could
        # not apply the spec to them. Where the spec is in force, this changes nothing.
        done = try_systemctl("reload", UNIT)
    if done.code != 0:
        lines = "\n".join(f"    {line}" for line in read_journal(UNIT, lines=LAST_LINES)[0])
        state = "is not up"
        if runs:
            state = "runs on without a supervisor, and calls go on" if replace else "runs on as it was"
        raise MachineError(
            f"{UNIT} does not take the spec, and the hub {state}; its journal ends with\n{lines}",
            hints=(f"edit {SPEC}, then `lkhub install` again", f"`journalctl --unit {UNIT}` has all of it"),
        )


def _is_outdated(plan: Plan, folder: str) -> bool:
    """Whether the supervisor was started by another program, before its unit was put in place, or before a secret was
    changed: systemd copies a secret once."""
    if os.path.realpath(CURRENT) != folder:
        return True
    started = find_start(UNIT)
    files = [os.stat(path) for path in (UNIT_FILE, *(secret.file for secret in plan.secrets if secret.file))]
    return started is not None and any(max(file.st_mtime, file.st_ctime) > started for file in files)


def _await_end(main: int) -> None:
    """Wait until the process has ended that the unit had as its main one."""
    deadline = time.monotonic() + END_SECONDS
    while find_main(UNIT) == main and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def uninstall_service(progress: Progress) -> tuple[str, ...]:
    """Stop the service, and remove what `install_service` has put in place, but for the spec, the hub's keys and data,
    and the programs: `remove_programs` comes last, since it may be one of them that runs. Returns the commands that
    remove the rest; none where nothing is left. A call is given its time to end."""
    require_systemd()
    progress.tell(f"stopping {UNIT}")
    if os.path.exists(UNIT_FILE):
        systemctl("disable", "--quiet", UNIT)
    try_systemctl("stop", UNIT)
    _end_left()
    remove(UNIT_FILE)
    systemctl("daemon-reload")
    try_systemctl("reset-failed", UNIT)
    if os.path.islink(COMMAND) and os.readlink(COMMAND).startswith(f"{CURRENT}/"):
        remove(COMMAND)
    left = [path for path in (FOLDER, INSTALLED.state) if os.path.exists(path)]
    commands = [f"rm -r {' '.join(left)}"] if left else []
    # While its files are there: another user might get its number, and with it the keys.
    return (*commands, *([f"userdel {USER}"] if is_made_by_us(USER) else []))


def _end_left() -> None:
    """End what a supervisor that was killed has left, which the unit's stop does not reach."""
    program = f"{CURRENT}/bin/lkhub"
    if os.path.exists(program) and os.path.isdir(INSTALLED.state):
        run_command(Command((program, "down", "--now", "--state", INSTALLED.state)))
    if left := find_left(StatePaths(INSTALLED.state)):
        names = ", ".join(f"{process.name} (pid {process.pid})" for process in left)
        raise MachineError(f"still running: {names}", hints=("end them, then `lkhub uninstall` again",))


def remove_programs() -> None:
    """Remove every copy of lkhub that `install_service` has made, and their folder if nothing else is in it."""
    if not os.path.isdir(PROGRAMS):
        return
    with explain_os_errors(PROGRAMS, "remove"):
        remove(CURRENT)
        programs.remove_programs(PROGRAMS)
        if not os.listdir(PROGRAMS):
            os.rmdir(PROGRAMS)
