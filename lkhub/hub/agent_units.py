"""Agents that the hub does not run itself: what `lkhub install` does with their units, and what systemd knows of their
processes."""

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from pwd import getpwnam

import psutil
from msgspec.structs import replace

from lkhub.errors import MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.commands import has_program
from lkhub.host.files import DIR_MODE, explain_os_errors, read_text, remove
from lkhub.host.given import ask_for_restart, ensure_given_dir
from lkhub.host.systemd import Systemd
from lkhub.hub.locate import find_service
from lkhub.hub.progress import Progress
from lkhub.hub.unit import list_agent_units
from lkhub.plan.model import AgentPlan
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import Service, name_unit
from lkhub.wire.agent import GIVEN_FILE, parse_given
from lkhub.wire.control import HubReport, ProcessReport


def make_folders(paths: StatePaths, agents: Iterable[AgentPlan], user: str) -> None:
    """Make the folders that agents get, as the hub's user. A unit does not start where its folder is missing, and at
    the first start of the hub the agents' units start before it. Raises MachineError."""
    with explain_os_errors(paths.root, "create"):
        if not os.path.isdir(paths.root):
            known = getpwnam(user)
            os.mkdir(paths.root, DIR_MODE)
            os.chown(paths.root, known.pw_uid, known.pw_gid)
    with acting_as_owner(paths.root):
        for agent in agents:
            if agent.given:
                ensure_given_dir(agent.given)


def start_agents(systemd: Systemd, units: Collection[str], changed: Collection[str], progress: Progress) -> None:
    """Start the units of agents that don't run, and start those anew whose unit has `changed`. The hub runs already,
    and none of this is waited for: an agent that is in a call finishes it. Raises MachineError."""
    if units:
        progress.tell("starting the agents")
    for unit in units:
        how = "restart" if unit in changed and systemd.is_active(unit) else "start"
        systemd.run(how, "--no-block", unit)


def remove_agents(
    service: Service, systemd: Systemd, progress: Progress, kept: Collection[str], *, now: bool = False
) -> None:
    """Stop and remove the units of agents whose names are not in `kept`. Without `now` an agent that is in a call may
    finish it. Raises MachineError."""
    for path in list_agent_units(service):
        name = os.path.basename(path)
        if name in kept:
            continue
        if now:
            systemd.ask("kill", "--signal=SIGKILL", name)
        elif systemd.is_active(name):
            progress.tell(f"stopping {name}, which may finish its calls (`lkhub install --now` does not wait)")
        systemd.ask("stop", name)
        remove(path)
        systemd.ask("reset-failed", name)


def list_given(paths: StatePaths) -> dict[str, str]:
    """The processes of agents that the hub does not run itself, each with the folder that it is given. Empty where this
    user may not read them."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for folder in sorted(Path(paths.for_agents).iterdir()):
            with contextlib.suppress(MachineError, ValueError, LookupError, TypeError):
                agent = parse_given(read_text(f"{folder}/{GIVEN_FILE}") or "")
                found |= dict.fromkeys(agent.ports, str(folder))
    return found


def restart_given(paths: StatePaths, process: str) -> bool:
    """Have the agent of a process start new workers; False where the hub runs the process itself, or none has that
    name. Raises MachineError."""
    folder = list_given(paths).get(process)
    if folder is None:
        return False
    with acting_as_owner(paths.root):
        ask_for_restart(folder)
    return True


def add_given(report: HubReport, paths: StatePaths) -> HubReport:
    """The report with these processes too, as systemd knows them. Those that finish their calls beside another are
    `retired`. Of one in another container nothing is known, and the report stays without it."""
    found = [each for name in list_given(paths) for each in _report(name)] if has_units(paths) else []
    retired = tuple(each for each in found if each.state == "stopping" and each.pid)
    return replace(
        report,
        processes=(*report.processes, *(each for each in found if each not in retired)),
        retired=(*report.retired, *retired),
    )


def has_units(paths: StatePaths) -> bool:
    """Whether this hub is the machine's service, whose agents are units."""
    service = find_service(paths)
    return service is not None and not service.of_user and has_program("systemctl")


_PROPERTIES = ("ActiveState", "SubState", "MainPID", "NRestarts", "StateChangeTimestampMonotonic", "StatusText")

_STATES = {"activating": "starting", "deactivating": "stopping", "inactive": "stopped", "failed": "failed"}


def _report(name: str) -> Iterable[ProcessReport]:
    """The process that takes calls, and those that finish theirs."""
    shown = Systemd().ask("show", f"--property={','.join(_PROPERTIES)}", name_unit(name)).out
    known = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    told = re.search(r"(\d+) restarts", known.get("StatusText", ""))
    restarts = int(known.get("NRestarts") or 0) + int(told[1] if told else 0)
    keeper = int(known.get("MainPID") or 0)
    changed = int(known.get("StateChangeTimestampMonotonic") or 0) / 1_000_000
    since = time.time() - (time.monotonic() - changed) if changed else time.time()
    if known.get("SubState") == "auto-restart":
        yield ProcessReport(name, None, "backoff", since, restarts, ("registers",))
    elif known.get("ActiveState") not in ("active", "reloading"):
        state = _STATES.get(known.get("ActiveState", ""), "stopped")
        yield ProcessReport(name, keeper or None, state, since, restarts, ("registers",))
    else:
        workers = _list_workers(keeper)
        # Its newest worker retires too while the keeper waits for a pause to end.
        current = workers.pop() if workers and known.get("StatusText", "").startswith("running") else None
        since, state = _find_start(current) if current else since, "running" if current else "backoff"
        yield ProcessReport(name, current, state, since, restarts, ("registers",))
        for pid in workers:
            yield ProcessReport(name, pid, "stopping", _find_start(pid), restarts, ("registers",))


def _list_workers(keeper: int) -> list[int]:
    """The processes that a keeper of an agent has started, the newest last."""
    with contextlib.suppress(psutil.Error, OSError):
        children = psutil.Process(keeper).children()
        return [child.pid for child in sorted(children, key=lambda child: child.create_time())]
    return []


def _find_start(pid: int) -> float:
    with contextlib.suppress(psutil.Error, OSError):
        return psutil.Process(pid).create_time()
    return time.time()
