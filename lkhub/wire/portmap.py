"""What `lkhub-engine portmap` is asked about the home router, and what it answers.

tests/golden/wire/portmap.json has examples, which the engine's own tests read too.
"""

from dataclasses import dataclass
from typing import Literal

from lkhub.source.typed import MissingKeyError
from lkhub.wire.failure import Failure, FailureAnswer
from lkhub.wire.message import parse_message

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
class Answer:
    """`outside` is the router's own address, and `means` is "" where it answered in no language. `error` is why nothing
    new is mapped, or what was to be given back still is; its codes are those of whole requests in
    engine/internal/portmap/message.go."""

    gateway: str
    local: str
    means: Means | Literal[""]
    nonce: str
    outside: str
    mappings: tuple[Result, ...]
    tried: tuple[Tried, ...]
    error: Failure | None = None


def parse_answer(text: str) -> Answer | FailureAnswer:
    """FailureAnswer where the engine did not take the request. Raises ValueError where it is neither."""
    try:
        return parse_message(Answer, text)
    except MissingKeyError:
        return parse_message(FailureAnswer, text)
