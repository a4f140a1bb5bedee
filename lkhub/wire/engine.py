"""What the engine's processes and one-shots are asked, and what they answer. Times are epoch seconds.

tests/golden/wire has one of each, which the engine's own tests read, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Use:
    """The last use of a path by a client on another machine."""

    at: float
    address: str


Uses = Mapping[str, Use]
"""By path."""


@dataclass(frozen=True)
class Refusal:
    """A connection that was refused; `held`: how many the client had. `full`: every place was taken."""

    at: float
    client: str
    held: int
    full: bool


@dataclass(frozen=True)
class AcceptFailure:
    """The system gave no connection."""

    at: float
    error: str


@dataclass(frozen=True)
class Connections:
    """Places for clients' connections; `refused` since the start, `refusal` and `failure` are the last ones. `waiting`:
    connections to the edge that are not known yet for a client."""

    open: int = 0
    limit: int = 0
    refused: int = 0
    refusal: Refusal | None = None
    failure: AcceptFailure | None = None
    waiting: int = 0


@dataclass(frozen=True)
class UnsentPacket:
    """A packet that the kernel did not take; `errno` is its name, "" where it has none, `to` an address and port."""

    at: float
    errno: str
    error: str
    to: str


@dataclass(frozen=True)
class Sends:
    """Packets that the kernel took (`left`) and did not (`refused`), since the start; `row` of these since the last one
    that left."""

    left: int = 0
    refused: int = 0
    row: int = 0
    last: UnsentPacket | None = None


@dataclass(frozen=True)
class Room:
    """A room that participants are in."""

    name: str
    participants: int


@dataclass(frozen=True)
class MediaConnections:
    """By what takes them."""

    ice_tcp: Connections | None = None
    signalling: Connections | None = None


@dataclass(frozen=True)
class ProcessStatus:
    """`GET /status` of any process of the engine. `seen` are uses of paths that prove the way in, `unproven` those that
    do not."""

    pid: int
    state: str
    seen: Uses = field(default_factory=dict)
    unproven: Uses = field(default_factory=dict)


@dataclass(frozen=True)
class MediaStatus(ProcessStatus):
    """Media's. `rooms` are those with participants; None: it does not tell."""

    rooms: tuple[Room, ...] | None = None
    connections: MediaConnections = field(default_factory=MediaConnections)
    sends: Sends | None = None


@dataclass(frozen=True)
class MostPorts:
    """The address, or network, that holds most of a relay's ports."""

    address: str
    held: int


@dataclass(frozen=True)
class RefusedPorts:
    """How often the relay refused a port for one reason, when last, and to which address."""

    count: int
    at: float
    address: str = ""


@dataclass(frozen=True)
class RelayPorts:
    """The relay's ports: those in its `range`, those that it can use (`size`), and those that are taken (`held`).
    `refused` is by reason: full, address, identity, quota, left. `asked`: when media last said who is in."""

    held: int
    size: int
    range: int
    most: MostPorts | None = None
    refused: Mapping[str, RefusedPorts] = field(default_factory=dict)
    asked: float | None = None


@dataclass(frozen=True)
class RelayStatus(ProcessStatus):
    """The relay's, which knows of TURN over UDP."""

    allocations: int = 0
    ports: RelayPorts | None = None
    sends: Sends | None = None


@dataclass(frozen=True)
class Certificate:
    """A certificate that the edge serves; `names` are DNS names and addresses, `chain` has the SHA-256 of each of its
    certificates in hex, the hub's own first."""

    names: tuple[str, ...]
    issuer: str
    not_after: datetime
    chain: tuple[str, ...] = ()


@dataclass(frozen=True)
class CertificateFailure:
    """Why there is no certificate for a name; `kind` is a code (engine/internal/edge/failures.go), `issuer` where it
    was asked for."""

    name: str
    issuer: str
    kind: str
    error: str
    at: datetime


@dataclass(frozen=True)
class Unannounced:
    """A proxy that led TURN over TLS here without saying where its clients are."""

    proxy: str
    at: datetime
    count: int = 0


@dataclass(frozen=True)
class StreamRelay:
    """TURN over TLS, which the edge relays."""

    allocations: int = 0
    connections: int = 0
    ports: RelayPorts | None = None


@dataclass(frozen=True)
class EdgeStatus(ProcessStatus):
    """The edge's. `pending` are names for which there is neither a certificate nor a failure yet."""

    loaded_at: datetime | None = None
    certificates: tuple[Certificate, ...] = ()
    failures: tuple[CertificateFailure, ...] = ()
    pending: tuple[str, ...] = ()
    connections: Connections | None = None
    unannounced: Unannounced | None = None
    relay: StreamRelay | None = None


STATUSES: Mapping[str, type[ProcessStatus]] = {"media": MediaStatus, "relay": RelayStatus, "edge": EdgeStatus}
"""By the engine's program (lkhub.plan.process.EngineProgram)."""


@dataclass(frozen=True)
class DrainRequest:
    """`POST /drain`: leave when nobody is in a call any more, or after so many seconds."""

    seconds: int


@dataclass(frozen=True)
class ResumeAnswer:
    """Of `POST /resume`, which is asked with the relay's configuration: how many were told to connect again."""

    participants: int


@dataclass(frozen=True)
class ProbePathRequest:
    """One path, with a token for each of its participants: one proves the connection alone, two media as well."""

    path: str
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class ProbeRequest:
    """What `lkhub-engine probe` reads. Hosts in `resolve` are reached at an address of this machine; `ca_file` is a
    root to trust besides the system's, "" for none."""

    url: str
    timeout_ms: int
    media_ms: int
    paths: tuple[ProbePathRequest, ...]
    resolve: Mapping[str, str] = field(default_factory=dict)
    ca_file: str = ""


@dataclass(frozen=True)
class ProbeResult:
    """A line of what `lkhub-engine probe` answers. The stages, reasons and keys of `evidence` are in
    engine/internal/probe/reasons.go; lkhub.checks.paths.PathResult says what the rest means."""

    path: str
    ok: bool | None
    stage: str
    detail: str
    reason: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    connect_ms: float | None = None
    rtt_ms: float | None = None
    loss: float | None = None
    picture_loss: float | None = None
    jitter_ms: float | None = None
    lateness_ms: float | None = None
    local: str | None = None
    remote: str | None = None
    relay: str | None = None
    native: bool | None = None
    native_detail: str | None = None


@dataclass(frozen=True)
class ConfigMessage:
    """One complaint of LiveKit's own parser. `code` is what is wrong, `line` is 1-based in the text that was checked,
    None where it is about what is not there. `known` are the keys that there are where it is about one that LiveKit
    does not know."""

    code: str
    line: int | None
    message: str
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConfigAnswer:
    """What `lkhub-engine check-config` answers."""

    ok: bool
    messages: tuple[ConfigMessage, ...] = ()


@dataclass(frozen=True)
class StunAnswer:
    """What `lkhub-engine stun` answers: the address that the STUN server sees."""

    address: str
