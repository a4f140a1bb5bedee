"""Makes a hub a service, and takes that back: what `lkhub install` and `uninstall` do."""

import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pwd import getpwnam

import psutil

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import programs
from lkhub.host.commands import run_command
from lkhub.host.control import ask
from lkhub.host.files import FIXED_PLACE, explain_os_errors, read_text, remove, write_private
from lkhub.host.journal import read_journal
from lkhub.host.lock import is_held
from lkhub.host.ports import require_free_ports
from lkhub.host.programs import add_uv, copy_programs, name_build, point_to
from lkhub.host.project import own_tree
from lkhub.host.selinux import find_denied, is_enforcing, restore_labels
from lkhub.host.system_user import ensure_system_user, find_group, is_made_by_us
from lkhub.host.systemd import Systemd
from lkhub.hub.agent_units import require_free_health_ports
from lkhub.hub.locate import DEFAULT_SPEC
from lkhub.hub.other_units import make_folders, remove_folders, remove_others, start_others
from lkhub.hub.progress import Progress
from lkhub.hub.restore import finish_restore
from lkhub.hub.running import ask_running, find_left, is_running
from lkhub.hub.unit import is_older, list_other_units, remove_unit, write_unit
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import AGENTS_STATE, FOLDER_MODE, SPEC_MODE, UNIT, Service
from lkhub.prepare.service import PreparedService, prepare_service
from lkhub.spec.places import make_absolute
from lkhub.state.identity import list_records, list_retired
from lkhub.state.upgrade import name_lock, name_record, read_upgrade
from lkhub.wire.control import ApplyRequest, LeaveRequest

# How the user chooses another spec, in a hint.
_SPEC_PLACE = "with --spec FILE"

# A user's own spec is for that user alone.
_OWN_FOLDER_MODE, _OWN_SPEC_MODE = 0o700, 0o600

# A supervisor that leaves has nothing to wait for; systemd notices within a moment.
END_SECONDS = 10.0
POLL_SECONDS = 0.1

# Of the journal of a service that does not start.
LAST_LINES = 15


@dataclass(frozen=True)
class Installed:
    """A hub that is a service now. `reloaded`: its supervisor ran before, and has taken the spec over; one that starts
    verifies the hub itself. `stopped`: it was stopped, and an upgrade leaves it so. `absolute`: the paths that were
    relative in the spec, by their keys."""

    paths: StatePaths
    reloaded: bool
    stopped: bool = False
    absolute: Mapping[str, str] = field(default_factory=dict)


def install_service(
    service: Service, given: str | None, environ: Mapping[str, str], progress: Progress, *, now: bool = False
) -> Installed:
    """Make the hub of a spec this service, or make the service that runs match it. Without `given` it is the spec that
    is installed, else hub.yaml in the current folder. `progress` is told each step. Everything is judged before the
    first change. `now`: a change that would interrupt a call does not wait. Raises HubError."""
    systemd = Systemd(service.of_user)
    named = ("--spec", os.path.abspath(given)) if given else ()
    systemd.require(service.unit_file, *named, *(("--now",) if now else ()))
    finish_restore(StatePaths(service.installation.state))
    source = given or (service.spec if os.path.exists(service.spec) else DEFAULT_SPEC)
    prepared = prepare_service(source, environ, service)
    plan = prepared.plan
    _require_free(plan, service, systemd)
    folder = f"{service.programs}/{name_build()}"
    before = os.path.realpath(service.current)
    progress.tell(f"copying lkhub to {folder}")
    copy_programs(folder, for_all=not service.of_user)
    if prepared.uv:
        add_uv(folder, prepared.uv)
    restore_labels(service.programs)
    if not service.of_user:
        if ensure_system_user(plan.installation.user, plan.installation.state):
            progress.tell(f"made the user {plan.installation.user}")
        _give_state(plan.paths, plan.installation.user)
        make_folders(plan)
    _write_files(prepared, service, progress)
    others = [unit.name for unit in prepared.others]
    remove_others(service, systemd, progress, others, now=now)
    # What somebody has stopped or disabled is upgraded, and stays so.
    upgrade = read_upgrade(service) if is_held(name_lock(service)) else None
    systemd.run("daemon-reload")
    if upgrade is None or not systemd.is_disabled(UNIT):
        systemd.run("enable", "--quiet", UNIT)
    # Before the start: where that fails, what to do next has this command in it.
    if not os.path.lexists(service.command):
        with explain_os_errors(service.command, "write", FIXED_PLACE):
            os.makedirs(os.path.dirname(service.command), exist_ok=True)
        point_to(f"{service.current}/bin/lkhub", service.command)
    stopped = upgrade is not None and not upgrade.before.running and systemd.is_stopped(UNIT)
    reloaded = False
    if stopped:
        point_to(folder, service.current)
    else:
        progress.tell(f"starting {UNIT}")
        reloaded = _start(plan, service, systemd, folder)
        start_others(service, systemd, others, progress)
        if not service.of_user:
            remove_folders(plan)
    if now and not stopped:
        ask_running(plan.paths, ApplyRequest(service.spec, prepared.variables, now=True), on_progress=progress.tell)
    # `lkhub upgrade`, which may have started this, removes what it does not need by itself.
    if not is_held(name_lock(service)):
        programs.remove_programs(service.programs, (folder, before, *list_used(service)))
        # Of an upgrade that was killed: this installation has the last word.
        remove(name_record(service), FIXED_PLACE)
    return Installed(plan.paths, reloaded, stopped, prepared.absolute)


def list_used(service: Service) -> tuple[str, ...]:
    """The copies of lkhub by which processes run: those of the hub, such as one that waits for its calls to end, and
    others. What keeps an agent in a unit of its own is not restarted by an install, and starts the agent again by its
    own copy."""
    # Programs run by real paths, as `python -m lkhub` sees to.
    begin = f"{os.path.realpath(service.programs)}/"
    paths = StatePaths(service.installation.state)
    argvs = [identity.plan.argv for identity in (*list_records(paths), *list_retired(paths))]
    # None: it belongs to another user, or has ended.
    argvs += [tuple(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    used = {word.removeprefix(begin).split("/")[0] for argv in argvs for word in argv if word.startswith(begin)}
    return tuple(f"{begin}{name}" for name in sorted(used))


def is_another_here(service: Service) -> bool:
    """Whether the current folder has a spec that differs from the installed one."""
    here, installed = read_text(DEFAULT_SPEC, _SPEC_PLACE), read_text(service.spec, FIXED_PLACE)
    if here is None or installed is None:
        return False
    return installed not in (here, make_absolute(here, os.getcwd())[0])


def _require_free(plan: Plan, service: Service, systemd: Systemd) -> None:
    runs = systemd.is_active(UNIT)
    if not runs and is_running(plan.paths):
        raise MachineError(
            f"a hub runs in {plan.paths.root}, and not as a service", hints=("`lkhub down` stops it; then install",)
        )
    if not runs and find_left(plan.paths):
        return
    if service.of_user:
        # The machine's service may have ports below 1024; a user's may not, and would be started again and again.
        if not runs:
            require_free_ports(plan.listeners)
    elif not is_held(name_lock(service)):  # an upgrade leaves every port as it is
        require_free_health_ports(plan, systemd)


def _give_state(paths: StatePaths, name: str) -> None:
    """Give root's state directory to the service, as systemd would; but the record of firewall rules stays root's, who
    alone may change the firewall."""
    user = getpwnam(name)
    if not os.path.isdir(paths.root) or os.stat(paths.root).st_uid == user.pw_uid:
        return
    # The folder comes last: its owner tells the next run, and systemd, that all of it was given.
    own_tree(paths.root, user.pw_uid, user.pw_gid, without=paths.firewall)


def _write_files(prepared: PreparedService, service: Service, progress: Progress) -> None:
    mode, owner = _OWN_SPEC_MODE, None
    if service.of_user:
        for folder in (service.folder, os.path.dirname(service.unit_file)):
            with explain_os_errors(folder, "write", FIXED_PLACE):
                os.makedirs(folder, mode=_OWN_FOLDER_MODE, exist_ok=True)
    else:
        mode, owner = SPEC_MODE, (0, find_group(service.installation.user))
        with explain_os_errors(service.folder, "write", FIXED_PLACE):
            os.makedirs(service.folder, mode=FOLDER_MODE, exist_ok=True)
            os.chown(service.folder, *owner)
            os.chmod(service.folder, FOLDER_MODE)
    before = read_text(service.spec, FIXED_PLACE)
    if before is not None and before != prepared.spec:
        write_private(f"{service.spec}.before", before, mode, owner, FIXED_PLACE)
    # A link leads to a file that the operator keeps elsewhere, unless the service would not see it there.
    real = os.path.realpath(service.spec)
    spec = service.spec if real.startswith(service.hidden) else real
    write_private(spec, prepared.spec, mode, owner, FIXED_PLACE)
    if prepared.environment:
        write_private(service.environment, prepared.environment, place=FIXED_PLACE)
    write_unit(service.unit_file, prepared.unit.text, prepared.unit.mode, service.units, progress)
    if not prepared.environment:
        remove(service.environment, FIXED_PLACE)
    place = os.path.dirname(service.unit_file)
    for each in prepared.others:
        write_unit(f"{place}/{each.name}", each.text, each.mode, service.units, progress)


def _start(plan: Plan, service: Service, systemd: Systemd, folder: str) -> bool:
    """Start the unit, or have it take the spec over. Returns whether its supervisor runs on."""
    runs = systemd.is_active(UNIT)
    replace = runs and _is_outdated(plan, service, systemd, folder)
    if replace:
        # The next supervisor adopts the processes of this one, so calls go on.
        main = systemd.find_main(UNIT)
        ask(plan.paths.control, LeaveRequest())
        _await_end(systemd, main)
    point_to(folder, service.current)
    done = systemd.ask("reload" if runs and not replace else "start", UNIT)
    if done.code == 0 and not (runs and not replace):
        # A start that was on its way had the earlier spec, and one that adopted processes is ready even if it could
        # not apply the spec to them. Where the spec is in force, this changes nothing.
        done = systemd.ask("reload", UNIT)
    if done.code != 0:
        lines = "\n".join(f"    {line}" for line in read_journal(UNIT, of_user=service.of_user, lines=LAST_LINES)[0])
        state = "is not up"
        if runs:
            state = "runs on without a supervisor, and calls go on" if replace else "runs on as it was"
        hints = [f"edit {service.spec}, then `lkhub install` again", f"`{service.journalctl}` has all of it"]
        hints += [
            f"SELinux keeps systemd from {path}, since its label is {label}: `restorecon -RF {path}` restores that"
            for path, label in ([] if service.of_user else find_denied(f"{folder}/bin/python", service.current))
        ]
        if is_enforcing():
            hints.append("SELinux enforces its policy here: `ausearch -m avc -ts recent` shows what it has denied")
        raise MachineError(
            f"{UNIT} does not take the spec, and the hub {state}; its journal ends with\n{lines}", hints=tuple(hints)
        )
    return runs and not replace


def _is_outdated(plan: Plan, service: Service, systemd: Systemd, folder: str) -> bool:
    """Whether the supervisor was started by another program, before its unit was put in place, or before a secret was
    changed that systemd has copied."""
    if os.path.realpath(service.current) != os.path.realpath(folder):
        return True
    copied = () if service.of_user else (secret.file for secret in plan.secrets if secret.file)
    return is_older(systemd.find_start(UNIT), (service.unit_file, *copied))


def _await_end(systemd: Systemd, main: int) -> None:
    """Wait until the process has ended that the unit had as its main one."""
    deadline = time.monotonic() + END_SECONDS
    while systemd.find_main(UNIT) == main and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def uninstall_service(service: Service, progress: Progress) -> tuple[str, ...]:
    """Stop the service, and remove what `install_service` has put in place, but for the spec, the hub's keys and data,
    and the programs: `remove_programs` comes last, since it may be one of them that runs. Returns the commands that
    remove the rest; none where nothing is left. A call is given its time to end."""
    systemd = Systemd(service.of_user)
    systemd.require_for_removal(service.unit_file)
    units = [os.path.basename(path) for path in list_other_units(service)]
    there = os.path.exists(service.unit_file)
    if there or units:
        progress.tell(f"stopping {', '.join(([UNIT] if there else []) + units)}")
    if there:
        systemd.run("disable", "--quiet", UNIT)
    # Agents end after the hub, by the order of their units.
    systemd.ask("stop", UNIT, *units)
    _end_left(service)
    remove_unit(service.unit_file, service.units)
    remove_others(service, systemd, progress, set())
    systemd.run("daemon-reload")
    systemd.ask("reset-failed", UNIT)
    if os.path.islink(service.command) and os.readlink(service.command).startswith(f"{service.current}/"):
        remove(service.command, FIXED_PLACE)
    state = service.installation.state
    # Of agents: what those keep that a unit runs, or that root's hub has run with this state.
    private = () if service.of_user else (f"/var/lib/private/{AGENTS_STATE}",)
    places = (service.folder, state, StatePaths(state).agents_apart(), *private)
    left = [path for path in places if os.path.exists(path)]
    commands = [shlex.join(["rm", "-r", *left])] if left else []
    # While its files are there: another user might get its number, and with it the keys.
    user = service.installation.user
    return (*commands, *([f"userdel {user}"] if not service.of_user and is_made_by_us(user) else []))


def _end_left(service: Service) -> None:
    """End what a supervisor that was killed has left, which the unit's stop does not reach."""
    program, state = f"{service.current}/bin/lkhub", service.installation.state
    if os.path.exists(program) and os.path.isdir(state):
        run_command(Command((program, "down", "--now", "--state", state)))
    if left := find_left(StatePaths(state)):
        names = ", ".join(f"{process.name} (pid {process.pid})" for process in left)
        raise MachineError(f"still running: {names}", hints=("end them, then `lkhub uninstall` again",))


def remove_programs(service: Service) -> None:
    """Remove every copy of lkhub that `install_service` has made, and their folder if nothing else is in it."""
    if not os.path.isdir(service.programs):
        return
    with explain_os_errors(service.programs, "remove", FIXED_PLACE):
        remove(service.current, FIXED_PLACE)
        remove(name_record(service), FIXED_PLACE)
        remove(name_lock(service), FIXED_PLACE)
        programs.remove_programs(service.programs)
        if os.path.isdir(service.units) and not os.listdir(service.units):
            os.rmdir(service.units)
        if not os.listdir(service.programs):
            os.rmdir(service.programs)
