"""Agents that the hub does not run itself: what they are given, and what systemd knows of their processes."""

import contextlib
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import psutil
from msgspec.structs import replace

from lkhub.errors import MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.commands import has_program
from lkhub.host.exits import describe_exit
from lkhub.host.files import read_text
from lkhub.host.given import ask_for_restart
from lkhub.host.holders import find_unit
from lkhub.host.ports import require_free_ports
from lkhub.host.systemd import Systemd
from lkhub.hub.locate import find_service
from lkhub.hub.unit_end import add_journal, describe_end
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import AGENT_UNITS, name_unit
from lkhub.wire.agent import GIVEN_FILE, GivenAgent, KeptWorker, parse_given, parse_kept
from lkhub.wire.control import HubReport, ProcessReport, Uninstalled


def require_free_health_ports(plan: Plan, systemd: Systemd) -> None:
    """Raise MachineError where another program has the port of an agent's health check. One that runs, and whose port
    stays what it was, has taken another where that was taken, and `lkhub status` says so."""
    before = {process: agent.ports[process] for agent in read_given(plan.paths).values() for process in agent.ports}
    units = {process for agent in plan.agents if agent.given for process, _ in agent.processes}
    require_free_ports(
        (
            listener
            for listener in plan.listeners
            if listener.process in units
            and not (
                listener.ports.start == before.get(listener.process) and systemd.is_active(name_unit(listener.process))
            )
        ),
        # An agent may get the port that another one gives up.
        but=lambda _, pid: pid is None or fnmatch(find_unit(pid), AGENT_UNITS),
    )


def list_given(paths: StatePaths) -> dict[str, str]:
    """The processes of agents that the hub does not run itself, each with the folder that it is given. Empty where this
    user may not read them."""
    return {process: folder for folder, agent in read_given(paths).items() for process in agent.ports}


def read_given(paths: StatePaths) -> dict[str, GivenAgent]:
    """What each agent gets that the hub does not run itself, by its folder. Empty where this user may not read it."""
    found: dict[str, GivenAgent] = {}
    with contextlib.suppress(OSError):
        for folder in sorted(Path(paths.for_agents).iterdir()):
            with contextlib.suppress(MachineError, ValueError, LookupError, TypeError):
                found[str(folder)] = parse_given(read_text(f"{folder}/{GIVEN_FILE}") or "")
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
    found = [_report(name, agent) for name, agent in _list_agents(paths)] if has_units(paths) else []
    return replace(
        report,
        processes=(*report.processes, *(each for unit in found for each in unit.now)),
        failures={**report.failures, **{unit.name: unit.failure for unit in found if unit.failure}},
        retired=(*report.retired, *(each for unit in found for each in unit.before)),
    )


def _list_agents(paths: StatePaths) -> list[tuple[str, GivenAgent]]:
    return [(process, agent) for agent in read_given(paths).values() for process in agent.ports]


def has_units(paths: StatePaths) -> bool:
    """Whether this hub is the machine's service, whose agents are units."""
    service = find_service(paths)
    return service is not None and not service.of_user and has_program("systemctl")


_PROPERTIES = (
    *("ActiveState", "SubState", "MainPID", "NRestarts", "StateChangeTimestampMonotonic", "StatusText"),
    *("Result", "ExecMainCode", "ExecMainStatus"),
)

_STATES = {"activating": "starting", "deactivating": "stopping", "inactive": "stopped", "failed": "failed"}


class _Unit(NamedTuple):
    """The process of an agent that takes calls, and the earlier ones: they finish theirs, or take calls until it does.
    `failure` says why none stays up, "" where one does."""

    name: str
    now: list[ProcessReport]
    before: list[ProcessReport]
    failure: str = ""


def _report(name: str, agent: GivenAgent) -> _Unit:
    shown = Systemd().ask("show", f"--property={','.join(_PROPERTIES)}", name_unit(name)).out
    known = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    told = parse_kept(known.get("StatusText", ""))
    restarts = int(known.get("NRestarts") or 0) + told.restarts
    keeper = int(known.get("MainPID") or 0)
    changed = int(known.get("StateChangeTimestampMonotonic") or 0) / 1_000_000
    since = time.time() - (time.monotonic() - changed) if changed else time.time()
    failure = Uninstalled(told.failed, told.why) if told.failed is not None else None

    def report(pid: int | None, state: str, since: float, worker: KeptWorker | None = None) -> ProcessReport:
        return ProcessReport(name, pid, state, since, restarts, ("registers",), worker=worker, uninstalled=failure)

    def describe_failure(how: str) -> str:
        return add_journal(f"{name} {how}", name, agent.variables)

    if known.get("SubState") == "auto-restart":
        return _Unit(name, [report(None, "backoff", since)], [], describe_failure(describe_end(known)))
    if known.get("ActiveState") not in ("active", "reloading"):
        state = _STATES.get(known.get("ActiveState", ""), "stopped")
        one = [report(keeper or None, state, since)]
        if state == "stopping" and keeper:
            return _Unit(name, [], one)
        return _Unit(name, one, [], describe_failure(describe_end(known)) if state == "failed" else "")
    kept, pids = {worker.pid: worker for worker in told.workers}, _list_workers(keeper)
    # While the keeper waits for a pause to end, its newest worker is an earlier one too.
    current = pids.pop() if pids and told.state == "running" else None

    def report_worker(pid: int, state: str) -> ProcessReport:
        worker = kept.get(pid)
        return report(pid, state, max(_find_start(pid), (worker and worker.since) or 0.0), worker)

    before = [report_worker(pid, "running" if pid in kept and not kept[pid].ends else "stopping") for pid in pids]
    if current:
        return _Unit(name, [report_worker(current, "running")], before)
    how = "has no worker" if told.ended is None else describe_exit(told.ended)
    return _Unit(name, [report(None, "backoff", since)], before, describe_failure(how))


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
