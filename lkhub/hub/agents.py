"""The agents of the running hub: their processes, and what media knows of their workers."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lkhub.checks.agents import AgentProcess
from lkhub.errors import MachineError
from lkhub.host.agent_home import AgentHome, InstallFailure, find_home
from lkhub.host.files import read_tail
from lkhub.host.sockets import Sockets, can_see, is_installing, read_sockets
from lkhub.plan.paths import StatePaths
from lkhub.wire.agent import AgentConfig
from lkhub.wire.control import HubReport, ProcessReport
from lkhub.wire.engine import AgentsStatus, AgentWorker

# The next try may have written some lines after the failure of the last one.
LOOKED_AT_LINES = 200

# Lines of the log that are shown of a failure: uv's errors have about as many.
SHOWN_LINES = 6


@dataclass(frozen=True)
class AgentRow:
    """A worker, or a process of an agent without one. `process` is None for a worker that runs elsewhere. `installing`:
    its version is being installed; `failure`: it could not be when that was last tried, and at which time."""

    process: ProcessReport | None
    worker: AgentWorker | None
    installing: bool = False
    failure: InstallFailure | None = None


def look_at_agents(
    paths: StatePaths, report: HubReport, read: Callable[[int], Sockets] = read_sockets
) -> tuple[AgentProcess, ...]:
    """The agents' processes that run, and those whose version could not be installed. `read` reads the sockets of a
    process."""
    workers = _index_workers(report)
    # One that was told to end has no more to register.
    before = {process.name for process in report.retired if process.state == "running"}
    seen = (
        _look_at(paths, process, workers, read, process.name in before)
        for process in report.processes
        if "registers" in process.roles
    )
    return tuple(each for each in seen if each is not None)


def _look_at(
    paths: StatePaths,
    process: ProcessReport,
    workers: Mapping[str, AgentWorker],
    read: Callable[[int], Sockets],
    replaces: bool,
) -> AgentProcess | None:
    found = _find_copy(paths, process)
    failure = _find_failure(process, found)
    if failure is None and not (process.pid and process.state == "running"):
        return None
    sockets = read(process.pid) if process.pid else Sockets()
    return AgentProcess(
        name=process.name,
        since=max(process.since, _find_start(found) or 0.0),
        worker=_find_worker(process, sockets, workers),
        installing=is_installing(process.pid),
        failure=_describe(paths, process, failure) if failure else "",
        replaces=replaces,
        exposed=tuple(sorted(sockets.exposed)),
        seen=is_seen(process),
    )


def list_rows(paths: StatePaths, report: HubReport) -> tuple[AgentRow, ...]:
    """Each agent's process with its worker, and then the workers that run elsewhere."""
    workers = _index_workers(report)

    def find(process: ProcessReport) -> AgentWorker | None:
        return _find_worker(process, read_sockets(process.pid), workers) if workers else None

    now = tuple(
        AgentRow(process, find(process), is_installing(process.pid), _find_failure(process, _find_copy(paths, process)))
        for process in report.processes
        if "registers" in process.roles
    )
    own = (*now, *(AgentRow(process, find(process)) for process in report.retired if "registers" in process.roles))
    shown = {row.worker.id for row in own if row.worker}
    return (*own, *(AgentRow(None, worker) for worker in workers.values() if worker.id not in shown))


def _find_copy(paths: StatePaths, process: ProcessReport) -> tuple[AgentHome, AgentConfig] | None:
    return find_home(paths.render(f"{process.name}.json"))


def _find_failure(process: ProcessReport, found: tuple[AgentHome, AgentConfig] | None) -> InstallFailure | None:
    if told := process.uninstalled:
        return InstallFailure("", told.at, told.why)
    return found[0].find_failure(found[1].inputs) if found else None


def _describe(paths: StatePaths, process: ProcessReport, failure: InstallFailure) -> str:
    """What failed, with what its log said before that, such as uv's own error."""
    lines: list[str] = []
    with contextlib.suppress(MachineError):
        lines = read_tail(paths.log(process.name), LOOKED_AT_LINES)
    at = max((number for number, line in enumerate(lines) if failure.why in line), default=0)
    return "\n".join([failure.why, *(line[:300] for line in lines[max(0, at - SHOWN_LINES) : at])])


def _find_start(found: tuple[AgentHome, AgentConfig] | None) -> float | None:
    return found[0].find_copy(found[1].inputs).find_start() if found else None


def _index_workers(report: HubReport) -> dict[str, AgentWorker]:
    """The workers by the address that each of them comes from."""
    known = (report.media.agents if report.media else None) or AgentsStatus()
    return {worker.address: worker for worker in known.workers}


def is_seen(process: ProcessReport) -> bool:
    """Whether this user can know which worker this process is."""
    return process.worker is not None or can_see(process.pid)


def _find_worker(process: ProcessReport, sockets: Sockets, workers: Mapping[str, AgentWorker]) -> AgentWorker | None:
    if process.worker and process.worker.address in workers:
        return workers[process.worker.address]
    return next((workers[address] for address in sockets.connected if address in workers), None)
