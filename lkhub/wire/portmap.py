"""What `lkhub-engine portmap` is asked about the home router, and what it answers.

tests/golden/wire/portmap.json has examples, which the engine's own tests read too.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lkhub.source.json_text import parse_json

VERSION = 1

Protocol = Literal["udp", "tcp"]
Means = Literal["pcp", "nat-pmp", "upnp"]


@dataclass(frozen=True)
class Port:
    """A port to be mapped to the same port outside, marked `name` where the router shows names."""

    protocol: Protocol
    port: int
    name: str


@dataclass(frozen=True)
class RecordedPort(Port):
    """A port that was granted before. Not `own`: somebody else had set it up, and it is never given back."""

    own: bool


@dataclass(frozen=True)
class Record:
    """What was granted before: by which router, to which address of this machine, in which language. `nonce` is 12
    bytes in hex with PCP, else ""."""

    gateway: str
    local: str
    means: Means
    nonce: str
    mappings: tuple[RecordedPort, ...]


@dataclass(frozen=True)
class Request:
    """`map`: exactly these ports, in place of those of the record. `renew`: those of the record for another lease, of
    its router alone. `unmap`: none of the record's. `seconds` is the lease."""

    action: Literal["map", "renew", "unmap"]
    seconds: int
    mappings: tuple[Port, ...]
    record: Record | None
    version: int = VERSION


@dataclass(frozen=True)
class Result:
    """What became of a port. `reason` is one of engine/internal/portmap/message.go; `seconds` is the lease, None for
    ever."""

    protocol: Protocol
    port: int
    name: str
    reason: str
    text: str
    outside_port: int
    seconds: int | None
    own: bool


@dataclass(frozen=True)
class Tried:
    """A language that the router did not answer in."""

    means: Means
    reason: str
    text: str


@dataclass(frozen=True)
class Failure:
    """Why nothing new is mapped, or what was to be given back still is."""

    code: str
    message: str


@dataclass(frozen=True)
class Answer:
    """`outside` is the router's own address. Without `error` every port was granted, or given back; `means` is "" where
    no language was answered."""

    gateway: str
    local: str
    means: Means | Literal[""]
    nonce: str
    outside: str
    mappings: tuple[Result, ...]
    tried: tuple[Tried, ...]
    error: Failure | None


def dump_request(request: Request) -> str:
    return json.dumps(asdict(request))


def parse_answer(text: str) -> Answer:
    """Raises ValueError, LookupError or TypeError where it is none. Of a request that the engine did not take there is
    the error alone."""
    said = parse_json(text)
    error = Failure(said["error"]["code"], said["error"]["message"]) if "error" in said else None
    if error and "version" not in said:
        return Answer("", "", "", "", "", (), (), error)
    mappings = tuple(_make(Result, row) for row in said["mappings"])
    tried = tuple(_make(Tried, row) for row in said["tried"])
    return Answer(said["gateway"], said["local"], said["means"], said["nonce"], said["outside"], mappings, tried, error)


def _make(kind: Any, row: dict[str, Any]) -> Any:
    """An object of the keys that the class knows: an engine of a later version may say more."""
    return kind(**{name: row[name] for name in kind.__dataclass_fields__})
