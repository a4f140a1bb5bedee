"""What `status --json` says. Pure: the supervisor's report and the records are passed in."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from lkhub import __version__
from lkhub.checks.agents import AgentProcess, HealthPort, check_agents, check_health_ports
from lkhub.checks.asker import check_asker
from lkhub.checks.called import CalledHub
from lkhub.checks.calls import check_paths
from lkhub.checks.checks import (
    check_address,
    check_edited,
    check_pending,
    check_processes,
    check_supervised,
)
from lkhub.checks.connections import check_connections
from lkhub.checks.disks import check_disks
from lkhub.checks.drift import EditedFile, check_drift
from lkhub.checks.edge import check_edge, check_root
from lkhub.checks.kernel import check_kernel
from lkhub.checks.openid import check_openid
from lkhub.checks.paths import PathResult, WebResult
from lkhub.checks.redis import check_redis
from lkhub.checks.relay import check_relay
from lkhub.checks.router import check_router
from lkhub.checks.sends import check_sends
from lkhub.checks.sites import BuiltSite, check_sites
from lkhub.checks.store import check_store
from lkhub.checks.supervised import (
    check_hanging,
    check_known,
    check_linger,
    check_records,
    check_removed,
    check_started,
    check_taken,
    check_watchers,
)
from lkhub.checks.surroundings import UNSEEN, Surroundings, check_surroundings
from lkhub.checks.web_findings import check_web
from lkhub.checks.webhooks import check_webhooks
from lkhub.findings.catalogue.agents import agent_install_failed
from lkhub.findings.finding import DEFAULT_HUB, Finding, Ref, Typed
from lkhub.hub.called import describe_called
from lkhub.plan.host import Disk, KernelLimits, RunsIn
from lkhub.plan.model import Sightings
from lkhub.state.applied import AppliedRecord
from lkhub.state.asker import AskerRecord
from lkhub.state.contents import list_findings
from lkhub.state.openid import OpenIdRecord
from lkhub.state.root_change import RootChange
from lkhub.state.store import StoreRecord
from lkhub.state.verified import VerifiedRecord
from lkhub.state.webhooks import ReceiverRecord
from lkhub.wire.control import NO_REPORT, HubReport, ProcessReport

HubState = Literal["stopped", "running", "degraded", "unsupervised"]


@dataclass(frozen=True)
class Verified:
    """A verification: when it was made (`at`, epoch seconds), and what it proved of each path. `outside` is what is
    known today of each path's use by clients on other machines; it lacks the paths whose use can't be seen. `note`
    names the hub's names that had a resolve override, with the reason; "" where no name had one. `web` has the results
    for the page and the API. `uncertified`: calls failed because the hub had no certificate."""

    at: float
    paths: tuple[PathResult, ...]
    outside: Sightings = field(default_factory=dict)
    note: str = ""
    web: tuple[WebResult, ...] = ()
    uncertified: bool = False

    def as_json(self) -> dict[str, object]:
        paths = [{**path.as_json(), **self._tell_use(path.path)} for path in self.paths]
        web = [result.as_json() for result in self.web]
        return {"at": self.at, "paths": paths, "web": web, "note": self.note, "uncertified": self.uncertified}

    def _tell_use(self, path: str) -> dict[str, object]:
        seen = self.outside.get(path)
        key = "outside" if seen is None or seen.proven else "outside_unproven"
        return {"outside": None, "outside_unproven": None, key: seen.as_json() if seen else None}

    def find(self, called: CalledHub) -> tuple[Finding, ...]:
        """The findings about this verification."""
        return (*check_paths(self.paths, called), *check_web(self.web, self.paths, called))

    @staticmethod
    def of(record: VerifiedRecord) -> "Verified":
        """The verification in a record. The record has no `outside`."""
        return Verified(record.at, record.paths, {}, record.note, record.web, record.uncertified)

    def as_record(self) -> VerifiedRecord:
        return VerifiedRecord(self.at, self.paths, self.note, self.web, self.uncertified)


@dataclass(frozen=True)
class HubStatus:
    """Everything that is known about a hub.

    `applied`: the applied record. `supervisor`: the supervisor's report, None where no supervisor runs. `left`: the
    processes that run without a supervisor. `verified`: the last verification. `edited`: the spec was changed since it
    was applied. `outside`: which paths clients on other machines have used. `root_change`: when and why the hub's own
    root was last replaced. `asker`: on a hub for this machine alone, the last program that was given a token and may
    listen for other machines. `around`: what stands between clients and the hub. `runs_in`: what the hub was started
    in. `disks`: those that it writes on. `ended`: the processes that have ended since their supervisor did. `unknown`:
    what shows that no hub was ever up with this state directory, "" where one was. `of_machine`: the command that shows
    another hub there, which is the machine's service. `typed`: how commands about this hub are typed.
    `certificate_files`: what is wrong with the operator's own certificate. `receivers`: what the receivers of webhooks
    take. `openid`, `store`: whether the OpenID provider and the store can be used. `store_read_only`: the store is on a
    file system that takes no writes, nor the service's record of it. `rewritten`: the rendered files that were edited,
    and written again. `unit`: what is wrong with the unit of a service, or with its upgrade. `builds`: what came of the
    builds of web sites. `agents`: the processes of agents. `health_ports`: the ports of their health checks.
    """

    applied: AppliedRecord | None
    supervisor: HubReport | None
    left: tuple[ProcessReport, ...]
    verified: Verified | None
    limits: KernelLimits = field(default_factory=KernelLimits)
    edited: bool = False
    outside: Sightings = field(default_factory=dict)
    root_change: RootChange | None = None
    asker: AskerRecord | None = None
    around: Surroundings = UNSEEN
    runs_in: RunsIn = field(default_factory=RunsIn)
    disks: tuple[Disk, ...] = ()
    unknown: str = ""
    of_machine: str = ""
    ended: tuple[str, ...] = ()
    typed: Typed = DEFAULT_HUB
    certificate_files: tuple[Finding, ...] = ()
    receivers: tuple[ReceiverRecord, ...] = ()
    openid: OpenIdRecord | None = None
    store: StoreRecord | None = None
    store_read_only: bool = False
    rewritten: tuple[EditedFile, ...] = ()
    unit: tuple[Finding, ...] = ()
    builds: tuple[BuiltSite, ...] = ()
    agents: tuple[AgentProcess, ...] = ()
    health_ports: tuple[HealthPort, ...] = ()

    @property
    def retired(self) -> tuple[ProcessReport, ...]:
        """The processes that finish what they do, beside those that took their places."""
        return self.supervisor.retired if self.supervisor else ()

    @property
    def processes(self) -> tuple[ProcessReport, ...]:
        return self.supervisor.processes if self.supervisor else self.left

    @property
    def state(self) -> HubState:
        if self.supervisor is None:
            return "unsupervised" if self.left else "stopped"
        sound = bool(self.processes) and all(process.state == "running" or process.done for process in self.processes)
        return "running" if sound else "degraded"

    @property
    def urls(self) -> dict[str, str | None]:
        """The addresses of the hub in force that clients and applications are given, by name."""
        urls = self.applied.urls if self.applied else None
        return {
            "livekit": urls.livekit if urls else None,
            "web": urls.web if urls else None,
            "api": urls.api if urls else None,
        }

    @property
    def sites(self) -> dict[str, tuple[str, ...]]:
        """The addresses of the web sites of the hub in force, by their names."""
        return dict(self.applied.sites) if self.applied else {}

    @property
    def _stopped(self) -> dict[str, int | None]:
        """The pid of each process that a signal has stopped, by the process's name."""
        names = self.supervisor.stopped if self.supervisor else ()
        return {process.name: process.pid for process in self.processes if process.name in names}

    @property
    def current_verification(self) -> Verified | None:
        """The verification, if it still holds. It does not where a process that carries calls was started since, or
        where the hub had no certificate then and has one now."""
        carrying = [process.since for process in self.processes if "carries-calls" in process.roles]
        if self.verified is None or not carrying or max(carrying) > self.verified.at:
            return None
        if self.is_certified_since:
            return None
        return replace(self.verified, outside=self.outside)

    @property
    def is_certified_since(self) -> bool:
        """Whether the last verification failed because the hub had no certificate, and the hub has one now."""
        edge = self.supervisor.edge if self.supervisor else None
        return bool(self.verified and self.verified.uncertified and not describe_called(self.applied, edge).uncertified)

    @property
    def is_well(self) -> bool:
        """Whether the hub runs as it should, and no finding about it is an error."""
        return self.state == "running" and not any(finding.severity == "error" for finding in self.find())

    def find(self, now: datetime | None = None) -> tuple[Finding, ...]:
        """The findings about this hub."""
        return tuple(finding.as_typed(self.typed) for finding in self._find(now))

    def _find(self, now: datetime | None) -> tuple[Finding, ...]:
        verified = self.current_verification
        report = self.supervisor or NO_REPORT
        now = now or datetime.now(UTC)
        agents = tuple(check_agents(self.agents, report.media.agents if report.media else None, now.timestamp()))
        explained = {finding.subject: finding.ref for finding in agents if finding.code == agent_install_failed.name}
        down = tuple(check_processes(self.processes, report.failures, explained))
        called = describe_called(self.applied, report.edge, now).within(self.around)
        relay = tuple(check_relay(report.relay, report.edge, called.tls, now, self.runs_in))
        full = (finding for finding in relay if finding.severity == "error")
        hanging = tuple(check_hanging(report.hangs, self._stopped))
        # A process that began to hang after the calls does not explain why they failed.
        before = (f for f in hanging if verified and report.silent.get(f.subject, verified.at) < verified.at)
        unsupervised = tuple(check_supervised(self.supervisor is not None, _names(self.left), self.ended))
        gone = {name: finding.ref for finding in unsupervised for name in self.ended}
        called = replace(called, down=gone | _name_refs(down), hanging=_name_refs(before), full=_name_refs(full))
        return (
            *check_known(self.unknown if self.state == "stopped" else "", self.of_machine),
            *unsupervised,
            *down,
            *hanging,
            *check_removed(report.removed),
            *check_records(report.unrecorded, report.unrecorded_codes),
            *check_disks(self.disks),
            *check_watchers(report.watcher_failures),
            *check_linger(self.runs_in.logged_in),
            *check_started(without_systemd=self.runs_in.no_systemd),
            *self.certificate_files,
            *check_taken(report.refused, _list_errors(self.certificate_files)),
            *check_edge(report.edge, now, called.tls),
            *check_connections(report, now, self.runs_in),
            *check_redis(report.media.redis if report.media else None),
            *check_sends(report, verified.paths if verified else (), now),
            *(check_root(self.root_change.at, self.root_change.reason, now) if self.root_change else ()),
            *check_router(report.renewal_failure, now),
            *relay,
            *check_kernel(self.limits, self.runs_in),
            *(verified.find(called) if verified else ()),
            *check_surroundings(self.around),
            *check_pending(report.pending and not report.moved, report.pending_change),
            *check_edited(report.spec if self.edited else None),
            *check_drift(self.rewritten),
            *self.unit,
            *(check_store(self.store, read_only=self.store_read_only) if self.store else ()),
            *check_webhooks(self.receivers, now),
            *check_sites(self.builds, now),
            *agents,
            *check_health_ports(self.health_ports),
            *(check_openid(self.openid.failing, self.openid.problem) if self.openid else ()),
            *check_asker(self.asker, self.applied.at if self.applied else 0.0),
            *check_address(report.moved, report.lost),
            *(list_findings(self.applied) if self.applied and self.processes else ()),
        )

    def as_json(self) -> dict[str, object]:
        applied = self.applied
        verified = self.current_verification
        retired = [{key: getattr(process, key) for key in _OF_A_RETIRED} for process in self.retired]
        return {
            "hub": {
                "name": applied.name if applied else None,
                "version": __version__,
                "state": self.state,
                "spec": applied.spec if applied else None,
            },
            "urls": self.urls,
            **({"sites": sites} if (sites := self.sites) else {}),
            "processes": [_pack_process(process) for process in self.processes],
            **({"retired": retired} if retired else {}),
            "verified": verified.as_json() if verified else None,
            "findings": [finding.as_json() for finding in self.find()],
        }


# What `status --json` has of a process.
_OF_A_PROCESS = ("name", "pid", "state", "since", "restarts")
_OF_A_RETIRED = ("name", "pid", "since", "people")


def _pack_process(process: ProcessReport) -> dict[str, object]:
    packed = {key: getattr(process, key) for key in _OF_A_PROCESS}
    return packed | ({"done": True} if process.done else {})


def _name_refs(findings: Iterable[Finding]) -> dict[str, Ref]:
    return {finding.subject: finding.ref for finding in findings}


def _list_errors(findings: Iterable[Finding]) -> tuple[Ref, ...]:
    return tuple(finding.ref for finding in findings if finding.severity == "error")


def _names(processes: Iterable[ProcessReport]) -> list[str]:
    return [process.name for process in processes]
