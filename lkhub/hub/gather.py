"""What is known of the hub in a state directory: its record, its processes, its last verification."""

import contextlib
import functools
import os
import time
from collections.abc import Iterator

from lkhub.checks.agents import AgentProcess, HealthPort, check_agents
from lkhub.checks.checks import check_upgrade
from lkhub.checks.drift import EditedFile, check_drift, check_unit
from lkhub.checks.sites import BuiltSite
from lkhub.checks.store import check_store
from lkhub.checks.supervised import check_selinux
from lkhub.checks.surroundings import UNSEEN, Surroundings
from lkhub.errors import HubError, MachineError
from lkhub.findings.finding import Finding
from lkhub.host.control import NotRunningError, ask
from lkhub.host.disks import look_at_disks
from lkhub.host.files import digest, is_read_only, list_files, read_input, read_text
from lkhub.host.kernel import read_limits
from lkhub.host.runs_in import read_runs_in
from lkhub.hub.applied import describe_unknown
from lkhub.hub.locate import find_service, find_typed, name_command, name_for_machine
from lkhub.hub.running import ask_settled_report, find_ended, find_left
from lkhub.hub.status import HubStatus, Verified
from lkhub.plan.host import KernelLimits, RunsIn
from lkhub.plan.model import Sightings
from lkhub.plan.paths import StatePaths, is_edited
from lkhub.state.applied import AppliedRecord, load_applied
from lkhub.state.asker import read_asker
from lkhub.state.openid import read_openid
from lkhub.state.outside import read_sightings
from lkhub.state.root_change import read_root_change
from lkhub.state.store import read_store
from lkhub.state.verified import read_verified
from lkhub.state.webhooks import read_webhooks
from lkhub.wire.control import HubReport, StatusRequest
from lkhub.wire.serve_config import ServeConfig, parse_serve


def read_status(paths: StatePaths, *, around: Surroundings | None = None) -> HubStatus:
    """Everything that is known about the hub. Changes nothing. A hub that never ran is `stopped`. NotRunningError
    where the hub is starting or stopping at this moment. `around`: the surroundings, where the caller has gathered
    them already."""
    supervisor = ask_settled_report(paths)
    supervisor = _add_given(paths, supervisor) if supervisor else None
    left = () if supervisor else tuple(find_left(paths))
    ended = find_ended(paths, left)
    applied = load_applied(paths)
    limits = _read_limits(applied, supervisor)
    edited, outside = _is_edited(supervisor), read_sightings(paths)
    change = read_root_change(paths) if applied and applied.ca else None
    asker = read_asker(paths.asker)
    if around is None and (supervisor or left) and applied and applied.reach != "local":
        # Imported here: it costs 50 ms, and a hub for this machine alone has neither names nor a firewall to check.
        from lkhub.hub.surroundings import gather_surroundings

        around = gather_surroundings(paths, outside)
    around = around or UNSEEN
    runs_in = read_runs_in(supervisor.pid) if supervisor else RunsIn()
    verified = find_verified(paths)
    unknown = describe_unknown(paths) if applied is None else ""
    files = _judge_files(applied) if supervisor or left else ()
    served = _find_served(paths) if supervisor else None
    store = read_store(served.store) if served and served.store else None
    agents, health_ports = _look_at_agents(paths, supervisor) if supervisor else ((), ())
    return HubStatus(
        applied,
        supervisor,
        left,
        verified,
        limits=limits,
        edited=edited,
        outside=outside,
        root_change=change,
        asker=asker,
        around=around,
        runs_in=runs_in,
        disks=look_at_disks((paths.root, paths.agents, paths.agents_apart())) if supervisor or left else (),
        unknown=unknown,
        of_machine=name_for_machine(paths, "status") if unknown else "",
        ended=ended,
        typed=find_typed(paths),
        certificate_files=files,
        receivers=read_webhooks(served.webhooks) if served and served.webhooks else (),
        openid=read_openid(served.openid) if served and served.openid else None,
        store=store,
        rewritten=_find_rewritten(paths),
        unit=tuple(_judge_unit(paths)),
        agents=agents,
        health_ports=health_ports,
        store_read_only=bool(served and store and store.file and is_read_only(served.store)),
        builds=_read_builds(paths, applied) if supervisor else (),
    )


def _add_given(paths: StatePaths, report: HubReport) -> HubReport:
    """The supervisor's report, with the agents that it does not run itself."""
    if not os.path.isdir(paths.for_agents):
        return report
    # Imported here: most hubs have no agent, and psutil takes 20 ms.
    from lkhub.hub.agent_units import add_given

    return add_given(report, paths)


def _read_builds(paths: StatePaths, applied: AppliedRecord | None) -> tuple[BuiltSite, ...]:
    if applied is None or not applied.builds:
        return ()
    # Imported here: 3 ms, which a hub without sites that are built does without.
    from lkhub.hub.builds import read_builds

    return read_builds(paths, applied, time.time())


def _look_at_agents(paths: StatePaths, report: HubReport) -> tuple[tuple[AgentProcess, ...], tuple[HealthPort, ...]]:
    """The processes of agents, and the ports of their health checks."""
    if not _may_have_agents(paths, report):
        return (), ()
    # Imported here: most hubs have no agent, and psutil takes 20 ms.
    from lkhub.host.sockets import read_sockets
    from lkhub.hub.agents import look_at_agents
    from lkhub.hub.contained_agents import look_at_contained
    from lkhub.hub.health_ports import look_at_health_ports

    read = functools.cache(read_sockets)  # both look at the same processes
    agents = (*look_at_agents(paths, report, read), *look_at_contained(paths, report))
    return agents, look_at_health_ports(paths, report, read)


def _may_have_agents(paths: StatePaths, report: HubReport) -> bool:
    """Whether there may be agents, also such as the hub does not run itself."""
    if any("registers" in process.roles for process in report.processes) or os.path.isdir(paths.for_agents):
        return True
    with contextlib.suppress(MachineError):
        return any(map(paths.is_for_image, list_files(paths.rendered)))
    return False


def find_in_installations(paths: StatePaths, report: HubReport) -> list[Finding]:
    """Which agents are being installed, and which could not be."""
    about = ("agent-installing", "agent-install-failed")
    agents, _ = _look_at_agents(paths, _add_given(paths, report))
    return [finding for finding in check_agents(agents, None, time.time()) if finding.code in about]


def find_in_store(paths: StatePaths) -> list[Finding]:
    """What keeps the service of the spec in force from its store."""
    served = _find_served(paths)
    record = read_store(served.store) if served and served.store else None
    return list(check_store(record)) if record else []


def find_drift(paths: StatePaths) -> list[Finding]:
    """Which rendered files were edited, and written again."""
    return list(check_drift(_find_rewritten(paths)))


def _find_served(paths: StatePaths) -> ServeConfig | None:
    """What the service of the spec in force was told; None where that can't be read."""
    try:
        return parse_serve(read_text(paths.render("serve.json")) or "")
    except (ValueError, TypeError, HubError):
        return None


def _find_rewritten(paths: StatePaths) -> tuple[EditedFile, ...]:
    """The copies of rendered files that were edited; none where this user may not read them."""
    found = []
    with contextlib.suppress(MachineError):
        for kept in filter(is_edited, list_files(paths.rendered)):
            path, _, _ = kept.rpartition(".edited")
            found.append(EditedFile(path, kept, read_text(kept) or "", read_text(path) or ""))
    return tuple(found)


def _judge_unit(paths: StatePaths) -> Iterator[Finding]:
    service = find_service(paths)
    if service is None:
        return
    # Imported here: with what they need they cost 5 ms, and most hubs are no service.
    from lkhub.host.lock import is_held
    from lkhub.host.selinux import find_denied
    from lkhub.hub.unit import find_edited, list_other_units
    from lkhub.state.upgrade import name_lock, read_upgrade

    with contextlib.suppress(MachineError):
        control, own, lkhub = service.systemctl, service.of_user, name_command(service)
        record = read_upgrade(service)
        if record and not is_held(name_lock(service)):
            yield from check_upgrade(record.source, record.target, lkhub)
        if not own:  # a user's own systemd runs what the user may run
            denied = find_denied(f"{service.current}/bin/python", service.current)
            yield from check_selinux(denied, service.programs, control)
        for unit in (service.unit_file, *list_other_units(service)):
            yield from check_unit(unit, *find_edited(unit, service.units), control=control, lkhub=lkhub, own=own)


def _judge_files(applied: AppliedRecord | None) -> tuple[Finding, ...]:
    """What is wrong with the operator's own certificate as its files are now, which may have been replaced since `up`
    judged them."""
    if applied is None or applied.own_certificate is None:
        return ()
    # Imported here: it loads cryptography (20 ms, 10 MiB), which other modes of TLS do without.
    from lkhub.host.certificates import judge_certificate

    own = applied.own_certificate
    return judge_certificate(own.cert, own.key, own.names)


def refresh_sightings(paths: StatePaths) -> Sightings:
    """Which paths clients on other machines have used. A running supervisor is asked first, since it updates this
    record before it answers."""
    with contextlib.suppress(NotRunningError):
        ask(paths.control, StatusRequest(max_age=0.0))
    return read_sightings(paths)


def _is_edited(supervisor: HubReport | None) -> bool:
    """Whether the spec's text differs from the text that was applied. False where the spec can't be read."""
    with contextlib.suppress(HubError):
        if supervisor and supervisor.spec:
            return digest(read_input(supervisor.spec)) != supervisor.digest
    return False


def _read_limits(applied: AppliedRecord | None, supervisor: HubReport | None) -> KernelLimits:
    """The kernel's limits for media. Empty on a hub for this machine alone, whose calls are too small to reach them."""
    pids = [
        process.pid for process in (supervisor.processes if supervisor else ()) if "knows-participants" in process.roles
    ]
    if not pids or not pids[0] or applied is None or applied.reach == "local":
        return KernelLimits()
    return read_limits(pids[0])


def find_verified(paths: StatePaths) -> Verified | None:
    """The last verification; None before the first one, and where its record can't be read."""
    record = read_verified(paths)
    return Verified.of(record) if record else None
