"""The plan: what runs, with which ports, addresses and files. Frozen, and free of secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from lkhub.findings.finding import Finding
from lkhub.plan.installation import Installation
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan, Variable
from lkhub.source.json_text import Json
from lkhub.source.path import Path
from lkhub.source.typed import Epoch
from lkhub.spec.address import Address, Network
from lkhub.spec.duration import Duration
from lkhub.spec.ports import PortRange
from lkhub.spec.turn import TurnProtocol
from lkhub.spec.types import Reach, TlsMode
from lkhub.wire.application import Application
from lkhub.wire.site_build import SiteBuild

ProbePath = Literal["udp", "tcp", "turn-udp", "turn-tls"]
ALL_PATHS: tuple[ProbePath, ...] = get_args(ProbePath)
Protocol = Literal["tcp", "udp"]


@dataclass(frozen=True)
class Sighting:
    """A use of a path by a client on another machine: when (epoch seconds), and its address. `proven`: the client sent
    the first packet, so the firewall lets clients in. Otherwise the hub's own packets may have opened the firewall, for
    this client alone."""

    at: Epoch
    address: str
    proven: bool = True

    def as_json(self) -> dict[str, object]:
        return {"at": self.at, "address": self.address}


Sightings: TypeAlias = Mapping[str, Sighting | None]
"""By path, the last use that proves that clients get in, else the last use; None: not seen yet. Paths whose use can't
be seen are missing."""


def find_proven(sightings: Sightings) -> dict[str, Sighting]:
    """By path, the last use that proves that clients get in; paths without such a use are missing."""
    return {path: seen for path, seen in sightings.items() if seen and seen.proven}


@dataclass(frozen=True)
class Listener:
    """Ports that the process named `process` will bind. `address` None means every interface. `key` is the spec's key
    for the ports. `client_facing`: clients connect to these ports, so a firewall has to allow them."""

    process: str
    protocol: Protocol
    address: Address | None
    ports: PortRange
    purpose: str
    key: Path
    client_facing: bool = False


class Advertised(NamedTuple):
    """An address that clients are told, and the address of this machine that it leads to. Behind a NAT the two
    differ."""

    external: Address
    local: Address


class MediaPorts(NamedTuple):
    """The ports of one media process. `tcp` None: no ICE/TCP."""

    udp: PortRange
    tcp: int | None


@dataclass(frozen=True)
class MediaPlan:
    """The plan of media. `addresses` are what clients are told, `bind` are the addresses on which signalling listens,
    `interfaces` are those that media may use. `loopback`: media is for this machine only. `second` are the ports of a
    second media process; None: there is only one at a time."""

    addresses: tuple[Advertised, ...]
    bind: tuple[Address, ...]
    interfaces: tuple[str, ...]
    loopback: bool
    udp: PortRange
    tcp: int | None
    signal: int
    second: MediaPorts | None = None

    @property
    def ports(self) -> tuple[MediaPorts, ...]:
        """The ports of each process, the first one's first."""
        return (MediaPorts(self.udp, self.tcp), *([self.second] if self.second else ()))

    @property
    def advertise(self) -> tuple[Address, ...]:
        return tuple(address.external for address in self.addresses)

    @property
    def local(self) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(address.local for address in self.addresses))

    @property
    def is_translated(self) -> bool:
        """Whether clients are told an address that is not this machine's own."""
        return any(address.external != address.local for address in self.addresses)

    @property
    def one_of_each_family(self) -> bool:
        """Whether livekit.yaml's node_ip can hold the addresses: it takes one of each family."""
        versions = [address.external.version for address in self.addresses]
        return len(versions) == len(set(versions))


@dataclass(frozen=True)
class RelayPlan:
    """The hub's TURN relay: UDP listeners, and ports towards the SFU. `udp` None: no TURN over UDP, and no process for
    it. `tls` is the host and port that clients are told for TURN over TLS, which is part of the edge; None: not
    offered. Two processes can't share one range of ports, so each has half of it. `bind` are the
    addresses on which it listens for UDP."""

    bind: tuple[Address, ...]
    udp: int | None
    relay: PortRange
    tls: tuple[str, int] | None = None

    @property
    def udp_relay(self) -> PortRange:
        """Ports for clients that come over UDP."""
        return self._halves[0] if self.tls else self.relay

    @property
    def tls_relay(self) -> PortRange:
        """Ports for clients that come over TLS."""
        return self._halves[1] if self.udp else self.relay

    @property
    def _halves(self) -> tuple[PortRange, PortRange]:
        start, end = self.relay
        if start == end:
            return self.relay, self.relay
        middle = (start + end + 1) // 2
        return PortRange(start, middle - 1), PortRange(middle, end)


@dataclass(frozen=True)
class TurnServer:
    """A TURN server of another operator. `secret_file` holds the secret that it shares with the hub. Or it takes
    `username` and a credential, which is not in the plan. An IPv6 `host` is in brackets."""

    host: str
    port: int
    protocol: TurnProtocol
    secret_file: str | None
    username: str | None


class TurnEndpoint(NamedTuple):
    """TURN over TLS: clients are told `host` and `port`. The edge listens for it on port `listen` of the addresses
    `bind` (empty: every interface). In mode external this port is not shared with HTTPS."""

    host: str
    port: int
    listen: int
    bind: tuple[Address, ...]


@dataclass(frozen=True)
class AcmeAccount:
    """An account that exists at the issuer already. Its MAC key is in `key_file`."""

    key_id: str
    key_file: str


@dataclass(frozen=True)
class TlsPlan:
    """Where the certificate comes from. `issuers` are ACME directories; the first that answers is used. `cert` and
    `key` are absolute paths (mode files). In mode external the certificate is for TURN alone."""

    mode: TlsMode
    email: str | None = None
    issuers: tuple[str, ...] = ()
    cert: str = ""
    key: str = ""
    account: AcmeAccount | None = None


@dataclass(frozen=True)
class SitePlan:
    """A web site: the files of the folder `root`, an absolute path. It is at `port` of the hub's own names, and at
    `domain` on the hub's HTTPS port; None: not there. `csp` is its Content-Security-Policy, None for the default.
    `index` is its place in the spec, counted from 0. `build`: how its files are made; None: they are there."""

    index: int
    name: str
    root: str
    port: int | None
    domain: str | None
    csp: str | None
    build: SiteBuild | None = None


@dataclass(frozen=True)
class EdgePlan:
    """The process that ends TLS: the hub's one origin, and TURN over TLS on the same port.

    `names` are the DNS names and addresses of the certificate, the hub's own first; `bind` the addresses on which it
    listens (empty: every interface); `http` the port of the redirect, ACME's HTTP challenge and `/trust`. Without TLS
    (mode external) the edge believes what `trusted_proxies` say about a client's address. `authority` is the id of the
    hub's own certificate authority (mode internal), once that exists. `sites` are the web sites that it serves.
    """

    names: tuple[str, ...]
    bind: tuple[Address, ...]
    port: int
    http: int | None
    tls: TlsPlan
    turn: TurnEndpoint | None
    trusted_proxies: tuple[Network, ...] = ()
    authority: str = ""
    sites: tuple[SitePlan, ...] = ()

    @property
    def served_names(self) -> tuple[str, ...]:
        """The hub's names and those of its sites."""
        return (*self.names, *(site.domain for site in self.sites if site.domain))

    @property
    def certified_names(self) -> tuple[str, ...]:
        """The names that the edge's certificates are for. Behind a proxy they are for TURN alone; for the rest the
        proxy has its own."""
        return (self.turn.host,) if self.tls.mode == "external" and self.turn else self.served_names


@dataclass(frozen=True)
class ServePlan:
    """`lkhub serve`: where it listens, the names that it answers to there (`hosts`), the `Host` of requests through the
    edge (`authorities`), whether it gives tokens to every program of this machine, and what it does for
    applications."""

    bind: tuple[Address, ...]
    port: int
    hosts: tuple[str, ...]
    authorities: tuple[str, ...]
    open_tokens: bool
    application: Application


@dataclass(frozen=True)
class Urls:
    """What people and applications type (`livekit`, `web`, `api`), where a device finds the root certificate that it
    has to trust (`trust`, mode internal), and where the hub's own programs find media and the service: on loopback,
    whatever clients are told."""

    livekit: str
    web: str
    api: str
    local_media: str
    local_serve: str
    trust: tuple[str, ...] = ()


@dataclass(frozen=True)
class AgentPlan:
    """One agent. `project` is the absolute path of its code, or `image` the image of its container; the other is "".
    `command` is empty for the default. `home` is the folder with its copies and environments. `uid` is the number of
    the user that it runs as, which has no account; None: the hub's own user. `processes` has the name and the health
    port of each replica. `variables` are those of its environment besides what every program needs. `given` is the
    folder in which the hub puts what the agent gets, where a unit or a container of its own runs it; "": the hub runs
    it, or it is an image.

    Of this machine, "" until it was looked at: `inputs` is a digest of the project's files, `uv` the path of uv for a
    project of uv, and `entry` the file that the default command starts."""

    name: str
    project: str
    command: tuple[str, ...]
    home: str
    uid: int | None
    processes: tuple[tuple[str, int], ...]
    variables: tuple[Variable, ...]
    given: str = ""
    image: str = ""
    inputs: str = ""
    uv: str = ""
    entry: str = ""

    @property
    def in_hub(self) -> bool:
        """Whether the hub runs it, as processes of its own."""
        return not self.given and not self.image


@dataclass(frozen=True)
class RedisPlan:
    """The Redis server of media: its `address` as HOST:PORT, and its `url` without a login. The password is the secret
    of the spec at REDIS_PASSWORD. `is_here`: it is on the hub's own machine, by a loopback address."""

    address: str
    url: str
    database: int
    tls: bool
    username: str
    has_password: bool
    is_here: bool = False


REDIS_PASSWORD: Path = ("redis", "password")


@dataclass(frozen=True)
class KeptSecret:
    """A secret that the spec refers to and does not hold: in the file `file`, an absolute path, or in the variable
    `variable` of the environment. `name` tells the secrets of a spec apart; `credential` is the name under which a
    service manager passes on the file."""

    name: str
    file: str = ""
    credential: str = ""
    variable: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything decided about one hub on one machine, where lkhub has this `installation`.

    `turn_servers` belong to other operators. `resolve` are the resolve overrides for the hub's own calls, host →
    address of this machine, since this machine may not be able to reach its own names and public addresses. `drain` is
    how long a stop waits for calls. `findings` are choices that the user should hear of, as notes, and what will not
    work, as warnings. `secrets` are those that whoever starts the hub must be able to read. `written_out` are the
    places in the spec where a secret itself stands, and no reference to one. `spare` are processes that can take the
    place of the one of the same name in `processes`, on other ports: the old one then goes on beside the new one.
    """

    name: str
    reach: Reach
    installation: Installation
    media: MediaPlan
    relay: RelayPlan | None
    edge: EdgePlan | None
    turn_servers: tuple[TurnServer, ...]
    stun: tuple[str, ...]
    serve: ServePlan
    urls: Urls
    processes: tuple[ProcessPlan, ...]
    listeners: tuple[Listener, ...]
    probes: tuple[ProbePath, ...]
    resolve: dict[str, str]
    livekit: dict[str, Json]
    drain: Duration
    secrets: tuple[KeptSecret, ...]
    written_out: tuple[Path, ...]
    findings: tuple[Finding, ...]
    agents: tuple[AgentPlan, ...] = ()
    redis: RedisPlan | None = None
    spare: tuple[ProcessPlan, ...] = ()

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The choices that the user should hear of."""
        return tuple(finding for finding in self.findings if finding.severity == "info")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What will not work."""
        return tuple(finding for finding in self.findings if finding.severity != "info")

    @property
    def sites_given_out(self) -> tuple[str, ...]:
        """The sites that a unit or a container of their own builds."""
        return tuple(site.name for site in (self.edge.sites if self.edge else ()) if site.build and site.build.given)

    @property
    def credentials(self) -> Mapping[str, str]:
        """The files with secrets, by the names under which a service manager passes them on."""
        return {secret.credential: secret.file for secret in self.secrets if secret.file}

    @property
    def paths(self) -> StatePaths:
        """Where the files of its state directory are."""
        return self.installation.paths


def in_url(address: Address) -> str:
    """An address as the host of a URL: IPv6 in brackets."""
    return as_host(str(address))


def as_host(name: str) -> str:
    """A DNS name or an address as the host of a URL."""
    return f"[{name}]" if ":" in name else name
