"""Collects what the supervisor and its watchers know of a hub."""

import os

from msgspec.structs import replace

from lkhub.host import files
from lkhub.supervise.child import Child, ShownState
from lkhub.supervise.predecessors import Predecessor
from lkhub.supervise.retired import RetiredProcess
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.watchers import Watchers
from lkhub.supervise.workers import join_agents
from lkhub.wire.control import HubReport, ProcessReport
from lkhub.wire.engine import EdgeStatus, MediaStatus, RelayStatus


def report_hub(supervisor: Supervisor, watchers: Watchers) -> HubReport:
    """The report, made from memory alone. `ages` says how old each process's own status is."""
    children = tuple(supervisor.children.values())
    silent = {child.plan.name: silence for child in children if (silence := watchers.hanging.find(child))}
    unrecorded = {child.plan.name: error for child in children if (error := child.unrecorded)}
    move, pending, wanted = watchers.addresses.move, supervisor.pending, supervisor.wanted
    return HubReport(
        pid=os.getpid(),
        processes=tuple(_report_process(child, child.plan.name in silent) for child in children),
        failures={child.plan.name: child.last_failure for child in children},
        refused=watchers.certificates.refused,
        unrecorded={name: error.message for name, error in unrecorded.items()},
        unrecorded_codes={name: error.code for name, error in unrecorded.items() if error.code},
        hangs={name: silence.hangs for name, silence in silent.items()},
        silent={name: silence.at for name, silence in silent.items()},
        stopped=tuple(name for name, silence in silent.items() if silence.stopped),
        removed=watchers.state_directory.removal,
        pending=pending is not None,
        pending_change=pending.change if pending else None,
        moved=move.what if move else "",
        lost=move.lost if move else None,
        spec=wanted.spec if wanted else None,
        digest=files.digest(wanted.raw) if wanted else None,
        renewal_failure=watchers.router.failure,
        watcher_failures=watchers.guard.failures,
        media=_add_agents(watchers),
        edge=watchers.reports.find(EdgeStatus),
        relay=watchers.reports.find(RelayStatus),
        ages=watchers.reports.list_ages(),
        retired=(
            *map(_report_retired, supervisor.fleet.retired.list()),
            *(_report_predecessor(each, watchers) for each in supervisor.fleet.predecessors.list()),
        ),
    )


def _add_agents(watchers: Watchers) -> MediaStatus | None:
    """Media's status, whose agents are those of its predecessors' rooms too."""
    media = watchers.reports.find(MediaStatus)
    if media is None or media.agents is None:
        return media
    before = (status.agents for status in watchers.reports.list_before() if isinstance(status, MediaStatus))
    return replace(media, agents=join_agents(media.agents, (agents for agents in before if agents)))


def _report_retired(retired: RetiredProcess) -> ProcessReport:
    plan = retired.plan
    state: ShownState = "running" if retired.waits else "stopping"
    return ProcessReport(plan.name, retired.process.pid, state, retired.since, roles=plan.roles)


def _report_predecessor(before: Predecessor, watchers: Watchers) -> ProcessReport:
    plan, pid, reports = before.plan, before.process.pid, watchers.reports
    people, keys = reports.count_in(before.process), reports.find_uses(before.process)
    return ProcessReport(plan.name, pid, "stopping", before.since, roles=plan.roles, people=people, keys=keys)


def _report_process(child: Child, hangs: bool) -> ProcessReport:
    state: ShownState = "hanging" if hangs else child.state
    return ProcessReport(
        name=child.plan.name,
        pid=child.process.pid if child.process else None,
        state=state,
        since=child.since,
        restarts=child.restarts,
        roles=child.plan.roles,
        done=child.done,
    )
