"""The agents of the running hub: their processes, and what media knows of their workers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lkhub.checks.agents import AgentProcess
from lkhub.host.sockets import list_exposed, list_local_addresses, read_command
from lkhub.wire.control import HubReport, ProcessReport
from lkhub.wire.engine import AgentsStatus, AgentWorker


@dataclass(frozen=True)
class AgentRow:
    """A worker, or a process of an agent without one. `process` is None for a worker that runs elsewhere."""

    process: ProcessReport | None
    worker: AgentWorker | None


def look_at_agents(report: HubReport | None) -> tuple[AgentProcess, ...]:
    """The agents' processes that run."""
    if report is None:
        return ()
    workers = _index_workers(report)
    return tuple(
        AgentProcess(
            name=process.name,
            since=process.since,
            worker=_find_worker(process, workers),
            installing="run-agent" in read_command(process.pid),
            exposed=tuple(sorted(list_exposed(process.pid))),
        )
        for process in _list_agents(report)
        if process.pid and process.state == "running"  # one that retires has no more to register
    )


def list_rows(report: HubReport) -> tuple[AgentRow, ...]:
    """Each agent's process with its worker, and then the workers that run elsewhere."""
    workers = _index_workers(report)
    own = tuple(AgentRow(process, _find_worker(process, workers)) for process in _list_agents(report))
    shown = {row.worker.id for row in own if row.worker}
    return (*own, *(AgentRow(None, worker) for worker in workers.values() if worker.id not in shown))


def _list_agents(report: HubReport) -> Iterator[ProcessReport]:
    return (process for process in (*report.processes, *report.retired) if "registers" in process.roles)


def _index_workers(report: HubReport) -> dict[str, AgentWorker]:
    """The workers by the address that each of them comes from."""
    known = (report.media.agents if report.media else None) or AgentsStatus()
    return {worker.address: worker for worker in known.workers}


def _find_worker(process: ProcessReport, workers: dict[str, AgentWorker]) -> AgentWorker | None:
    addresses: Iterable[str] = list_local_addresses(process.pid) if process.pid and workers else ()
    return next((workers[address] for address in addresses if address in workers), None)
