"""The plan: what runs, with which ports, addresses and files. Frozen, and free of secrets."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from lkhub.plan.paths import StatePaths
from lkhub.spec.document import Path
from lkhub.spec.types import Address, PortRange

ProcessName = Literal["media", "relay", "serve"]
PROCESS_NAMES: tuple[ProcessName, ...] = get_args(ProcessName)
ProbePath = Literal["udp", "tcp", "turn-udp"]
Protocol = Literal["tcp", "udp"]

Door: TypeAlias = tuple[str, int]
"""Address and TCP port of a listening socket that the supervisor opens and a child inherits."""


# How long a stop waits for people to leave their call before it cuts them off. Long enough to say
# goodbye, short enough for a service manager, whose own limit is usually 90 s.
DRAIN_SECONDS = 30


@dataclass(frozen=True)
class Listener:
    """Ports that a process will bind. `address` None is every interface. `key` is the spec's key for it."""

    process: ProcessName
    protocol: Protocol
    address: Address | None
    ports: PortRange
    purpose: str
    key: Path


@dataclass(frozen=True)
class Ready:
    """How a process tells that it is ready: a control socket that answers, or a URL."""

    socket: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class ProcessPlan:
    """One child of the supervisor.

    `files` are read by the process when it starts: a change in one makes it another process. `doors` are
    given to it as listening sockets, each as `--listen-fd NUMBER`.
    `carries_calls` is true where restarting it interrupts people.
    """

    name: ProcessName
    argv: tuple[str, ...]
    files: tuple[str, ...]
    ready: Ready
    carries_calls: bool
    doors: tuple[Door, ...] = ()


@dataclass(frozen=True)
class MediaPlan:
    """The SFU. `advertise` is what clients are told, `bind` where signalling listens, `interfaces` limits
    where media does; `loopback`: media is for this machine only."""

    advertise: tuple[Address, ...]
    bind: tuple[Address, ...]
    interfaces: tuple[str, ...]
    loopback: bool
    udp: PortRange
    tcp: int | None
    signal: int


@dataclass(frozen=True)
class RelayPlan:
    """The hub's TURN relay: UDP listeners, and ports towards the SFU."""

    listen: tuple[Address, ...]
    udp: int
    relay: PortRange


@dataclass(frozen=True)
class ServePlan:
    """`lkhub serve`: where it listens, the names it answers to, and whether it gives tokens away."""

    bind: tuple[Address, ...]
    port: int
    hosts: tuple[str, ...]
    open_tokens: bool


@dataclass(frozen=True)
class Urls:
    """What people and applications type (`livekit`, `web`, `api`), and where the hub's own programs find
    media and the service: on loopback, whatever clients are told."""

    livekit: str
    web: str
    api: str
    local_media: str
    local_serve: str


@dataclass(frozen=True)
class Plan:
    """Everything decided about one hub on one machine.

    `notes` are choices that the user should hear of; `warnings` what will not work, and why.
    """

    name: str
    reach: Literal["local", "lan"]
    paths: StatePaths
    media: MediaPlan
    relay: RelayPlan | None
    stun: tuple[str, ...]
    serve: ServePlan
    urls: Urls
    processes: tuple[ProcessPlan, ...]
    listeners: tuple[Listener, ...]
    probes: tuple[ProbePath, ...]
    livekit: dict[str, object]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def in_url(address: Address) -> str:
    """An address as the host of a URL: IPv6 in brackets."""
    return f"[{address}]" if address.version == 6 else str(address)
