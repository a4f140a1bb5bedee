"""The record of what is in force: what commands need to know of a hub without asking its supervisor.

Light to import: most commands read it, and many need nothing else. `lkhub.state.describe` makes it from a plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lkhub.plan.paths import StatePaths
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
class MeetingPoint:
    """Where a hub is met: its `name`, and each as `host:port`: where a proxy finds the edge (`upstream`), the web
    application behind it (`web`), what clients are told of TURN over TLS (`turn`), and where that arrives
    (`turn_upstream`). "" for what is not there."""

    name: str = ""
    web: str = ""
    upstream: str = ""
    turn: str = ""
    turn_upstream: str = ""


@dataclass(frozen=True)
class AppliedRecord:
    """The hub that is in force since `at` (epoch seconds), by the spec at the path `spec`; None without one.

    `tls` is the mode. `ca` is the root certificate that the hub's own programs must trust besides the system's, "" for
    none. `auto_create`: joining opens a room that is not there. `drain` is in seconds. `resolve` leads the hub's own
    programs (host → address of this machine), `ports` has the port of each path as `7882/udp`. The edge gets or makes a
    certificate for `certified`; `names` have to lead to this machine. `told` are the addresses that clients are told,
    each with the address of this machine that it leads to. `turn_of_others` are TURN servers as `host:port`.
    """

    name: str
    at: float
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
    met_at: MeetingPoint = field(default_factory=MeetingPoint)
    certified: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    told: tuple[tuple[str, str], ...] = ()
    turn_of_others: tuple[str, ...] = ()
    # The firewall's table, packed: its classes bring the plan. lkhub.state.describe reads it.
    firewall: Mapping[str, Any] | None = None
    # What the plan says to people, packed, so that a finding of another version keeps no command from the rest.
    findings: tuple[Mapping[str, Any], ...] = ()


def load_applied(paths: StatePaths) -> AppliedRecord | None:
    """What is in force; None before the first `up`, and where the file is another program's or damaged."""
    return read_record(AppliedRecord, paths.applied)


def write_applied(paths: StatePaths, record: AppliedRecord) -> None:
    """Note that this hub is in force from now on."""
    write_record(record, paths.applied)
