"""The applied record: what commands need to know of the hub in force without asking its supervisor.

This module is light to import, since most commands read the record and many need nothing else. `lkhub.state.describe`
makes the record from a plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import read_record, write_record


@dataclass(frozen=True)
class AppliedUrls:
    """See lkhub.plan.model.Urls."""

    livekit: str
    web: str
    local_media: str
    api: str = ""
    local_serve: str = ""
    trust: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoints:
    """Where a hub is reached: its `name`, and four addresses as `host:port`. A proxy forwards to `upstream` for the
    edge and to `web` for the web application. `turn` is the TURN endpoint, and `turn_upstream` the address at which its
    connections arrive. "" for what the hub does not have."""

    name: str = ""
    web: str = ""
    upstream: str = ""
    turn: str = ""
    turn_upstream: str = ""


@dataclass(frozen=True)
class OwnCertificate:
    """The operator's own certificate: the absolute paths of its chain and its key, and the names that it needs."""

    cert: str
    key: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class AppliedBuild:
    """The build of a web site that is wanted: `inputs` and `again` are those of lkhub.wire.site_build.SiteBuild."""

    site: str
    inputs: str
    again: str


@dataclass(frozen=True)
class AppliedRecord:
    """The hub that is in force since `at` (epoch seconds), from the spec at the path `spec`; None without a file.

    `tls` is the mode. `ca` is the root certificate that the hub's own programs must trust besides the system's, "" for
    none. `auto_create`: joining opens a room that does not exist yet. `drain` is in seconds. `resolve` has the resolve
    overrides (host → address of this machine). `ports` has the port of each path as `7882/udp`. The edge gets or makes
    a certificate for each name in `certified`; `own_certificate` is given by the operator in its place. Each name in
    `names` has to lead to this machine. `told` are the addresses that clients are told, each with the address of this
    machine that it leads to. `external_turn` are the servers of turn.external, as `host:port`. `rendered` has a digest
    of each rendered file as it was written, and `begun` those of a change that has begun and is not in force yet.
    `sites` has the addresses of each web site, by its name.
    """

    name: str
    at: Epoch
    urls: AppliedUrls
    probes: tuple[str, ...]
    spec: str | None = None
    reach: str = "local"
    tls: str = ""
    ca: str = ""
    auto_create: bool = True
    drain: int | None = None
    resolve: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, str] = field(default_factory=dict)
    endpoints: Endpoints = field(default_factory=Endpoints)
    certified: tuple[str, ...] = ()
    own_certificate: OwnCertificate | None = None
    names: tuple[str, ...] = ()
    told: tuple[tuple[str, str], ...] = ()
    external_turn: tuple[str, ...] = ()
    rendered: Mapping[str, str] = field(default_factory=dict)
    begun: Mapping[str, str] = field(default_factory=dict)
    builds: tuple[AppliedBuild, ...] = ()
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # The firewall's table, packed, since its classes import the plan. lkhub.state.contents reads it.
    firewall: Mapping[str, object] | None = None
    # The plan's findings, packed: one that this version can't read must not hide the rest of the record.
    findings: tuple[Mapping[str, object], ...] = ()


def load_applied(paths: StatePaths) -> AppliedRecord | None:
    """The applied record; None before the first `up`, and if the file is damaged or not a record."""
    return read_record(AppliedRecord, paths.applied)


def write_applied(paths: StatePaths, record: AppliedRecord) -> None:
    """Note that this hub is in force from now on."""
    write_record(record, paths.applied)
