"""Requests to the engine's processes and one-shot subcommands, and their answers. Times are epoch seconds.

tests/golden/wire has an example of each message. The engine's own tests read these examples too.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field


class Use(Struct, frozen=True):
    """The last use of a path by a client on another machine, and the client's address."""

    at: float
    address: str


Uses = Mapping[str, Use]
"""By path."""


class Refusal(Struct, frozen=True):
    """A connection that was refused. `held` is how many the client had already. `full`: all connections of all clients
    together had reached the limit."""

    at: float
    client: str
    held: int
    full: bool


class AcceptFailure(Struct, frozen=True):
    """The system could not accept a connection."""

    at: float
    error: str


class Connections(Struct, frozen=True):
    """Clients' connections: how many are `open`, the `limit`, and how many were `refused` since the process started.
    `refusal` and `failure` are the last ones. `waiting`: open connections to the edge that have not ended their TLS
    handshake, or have sent nothing after it."""

    open: int = 0
    limit: int = 0
    refused: int = 0
    refusal: Refusal | None = None
    failure: AcceptFailure | None = None
    waiting: int = 0


class UnsentPacket(Struct, frozen=True):
    """A packet that the kernel refused. `errno` is the error's name, such as ENOBUFS, or "". `to` is `address:port`."""

    at: float
    errno: str
    error: str
    to: str


class Sends(Struct, frozen=True):
    """Packets that the kernel took (`left`) and refused (`refused`) since the process started. `row` is how many it has
    refused since it last took one."""

    left: int = 0
    refused: int = 0
    row: int = 0
    last: UnsentPacket | None = None


class Room(Struct, frozen=True):
    """A room with at least one participant."""

    name: str
    participants: int


class MediaConnections(Struct, frozen=True):
    """Connections to media, by what the clients use them for."""

    ice_tcp: Connections | None = None
    signalling: Connections | None = None


class ProcessStatus(Struct, frozen=True):
    """The answer of every process of the engine to `GET /status`. `seen` are uses that prove that the path is open from
    outside, `unproven` uses that do not."""

    pid: int
    state: str
    seen: Uses = field(default_factory=dict)
    unproven: Uses = field(default_factory=dict)


class KeyCaller(Struct, frozen=True):
    """Where requests with an API key came from: `kind` is join, api, agent, whip or other; `identity` is the token's.
    `count` is how many there were, and `at` when the last one came."""

    kind: str
    address: str
    identity: str
    count: int
    at: float


class KeyUses(Struct, frozen=True):
    """How an API key was used since media started: how many requests were accepted with it, and the latest callers,
    the last one first. `participants` is how many of those who are in a room now connected with it last."""

    id: str
    count: int = 0
    participants: int = 0
    callers: tuple[KeyCaller, ...] = ()


class AgentJob(Struct, frozen=True):
    """A job that a worker runs: in which `room`, and as which participant."""

    id: str
    room: str
    identity: str
    since: float


class AgentWorker(Struct, frozen=True):
    """A worker that is connected. `agent` is the name that it registered with, "" for none; `kind` is room, publisher
    or participant. `free`: it takes rooms; `draining`: it ends after its jobs. `load` is what it says of itself, from 0
    to 1. `address` is where its connection comes from, "host:port"."""

    id: str
    agent: str
    kind: str
    free: bool
    draining: bool
    load: float
    address: str
    since: float
    jobs: tuple[AgentJob, ...] = ()


class WaitingRoom(Struct, frozen=True):
    """A room that lacks an agent. `reason` is a code of engine/internal/agents/status.go: no-worker, full, refused or
    failing."""

    room: str
    agent: str
    reason: str
    since: float


class AgentsStatus(Struct, frozen=True):
    """The workers, the rooms that wait for an agent, and how often media has asked for an agent again since it
    started."""

    workers: tuple[AgentWorker, ...] = ()
    waiting: tuple[WaitingRoom, ...] = ()
    again: int = 0


class RedisStatus(Struct, frozen=True):
    """What media sees of its Redis server: `error` is why it does not answer, "" while it does."""

    error: str = ""


class MediaStatus(ProcessStatus, frozen=True):
    """Media's status. `rooms` are those with participants; None: not known. `keys` are the API keys that media accepts,
    the current one first; None: not known. `agents`: None: not known. `redis`: None: it uses none, or not known."""

    rooms: tuple[Room, ...] | None = None
    connections: MediaConnections = field(default_factory=MediaConnections)
    sends: Sends | None = None
    keys: tuple[KeyUses, ...] | None = None
    agents: AgentsStatus | None = None
    redis: RedisStatus | None = None


class MostPorts(Struct, frozen=True):
    """The address or network with the most ports of a relay."""

    address: str
    held: int


class RefusedPorts(Struct, frozen=True):
    """How often the relay refused a port for one reason, and when and to which address it last did."""

    count: int
    at: float
    address: str = ""


class RelayPorts(Struct, frozen=True):
    """The relay's ports: how many are in its `range`, how many of them it can use (`size`), and how many clients hold
    (`held`). `refused` is by reason: full, address, identity, quota, left. `asked`: when media last told the relay who
    is in the rooms."""

    held: int
    size: int
    range: int
    most: MostPorts | None = None
    refused: Mapping[str, RefusedPorts] = field(default_factory=dict)
    asked: float | None = None


class RelayStatus(ProcessStatus, frozen=True):
    """The relay's status. It serves TURN over UDP; TURN over TLS is in the edge's status."""

    allocations: int = 0
    ports: RelayPorts | None = None
    sends: Sends | None = None


class Certificate(Struct, frozen=True):
    """A certificate that the edge serves. `names` are DNS names and IP addresses. `chain` has the SHA-256, in hex, of
    every certificate that the edge sends, the hub's own first."""

    names: tuple[str, ...]
    issuer: str
    not_after: datetime
    chain: tuple[str, ...] = ()


class CertificateFailure(Struct, frozen=True):
    """Why there is no certificate for a name. `kind` is a reason code of engine/internal/edge/failures.go, and `issuer`
    is the issuer that the edge asked."""

    name: str
    issuer: str
    kind: str
    error: str
    at: datetime


class Unannounced(Struct, frozen=True):
    """A trusted proxy that forwards TURN over TLS to the edge without saying by the PROXY protocol where the client is.
    `at` is when it last did, `count` how often."""

    proxy: str
    at: datetime
    count: int = 0


class StreamRelay(Struct, frozen=True):
    """The edge's relay, which serves TURN over TLS."""

    allocations: int = 0
    connections: int = 0
    ports: RelayPorts | None = None


class EdgeStatus(ProcessStatus, frozen=True):
    """The edge's status. `pending` are names for which there is neither a certificate nor a failure yet."""

    loaded_at: datetime | None = None
    certificates: tuple[Certificate, ...] = ()
    failures: tuple[CertificateFailure, ...] = ()
    pending: tuple[str, ...] = ()
    connections: Connections | None = None
    unannounced: Unannounced | None = None
    relay: StreamRelay | None = None


STATUSES: Mapping[str, type[ProcessStatus]] = {"media": MediaStatus, "relay": RelayStatus, "edge": EdgeStatus}
"""The class of the status of each program of the engine (lkhub.plan.process.EngineProgram)."""


class DrainRequest(Struct, frozen=True, omit_defaults=True):
    """`POST /drain`: end once no participant is in a room, or after so many seconds. `hand_over`: another process takes
    new clients from now on, from the same held sockets."""

    seconds: int
    hand_over: bool = False


class ResumeAnswer(Struct, frozen=True):
    """The answer to `POST /resume`, whose body is the relay's configuration: how many participants were told to connect
    again."""

    participants: int


class ProbePathRequest(Struct, frozen=True):
    """One path, with a token for each participant of the call. One participant alone proves only the connection; two
    also prove that media gets through."""

    path: str
    tokens: tuple[str, ...]


class ProbeRequest(Struct, frozen=True):
    """The input of `lkhub-engine probe`. `resolve` has the resolve overrides: for a host's name or address, an address
    of this machine. `ca_file` is the path of a root to trust besides the system's, or ""."""

    url: str
    timeout_ms: int
    media_ms: int
    paths: tuple[ProbePathRequest, ...]
    resolve: Mapping[str, str] = field(default_factory=dict)
    ca_file: str = ""


class ProbeResult(Struct, frozen=True):
    """One line of the output of `lkhub-engine probe`. The stages, reasons and keys of `evidence` are in
    engine/internal/probe/reasons.go; lkhub.checks.paths.PathResult says what the other fields mean."""

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


class ConfigMessage(Struct, frozen=True):
    """One error of LiveKit's own parser. `code` says what is wrong. `line` counts from 1 in the text that was checked;
    None: the error is about something that the text lacks. If a key is unknown to LiveKit, `known` are the keys that
    it knows in that place."""

    code: str
    line: int | None
    message: str
    known: tuple[str, ...] = ()


class ConfigAnswer(Struct, frozen=True):
    """The output of `lkhub-engine check-config`."""

    ok: bool
    messages: tuple[ConfigMessage, ...] = ()


class StunAnswer(Struct, frozen=True):
    """The output of `lkhub-engine stun`: the address from which the STUN server got the request."""

    address: str
