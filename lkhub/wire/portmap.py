"""Requests to `lkhub-engine portmap`, which asks the home router for port mappings, and its answers.

tests/golden/wire/portmap.json has examples. The engine's own tests read them too.
"""

from typing import Literal

from msgspec import Struct

from lkhub.source.typed import MissingKeyError
from lkhub.wire.failure import Failure, FailureAnswer
from lkhub.wire.message import parse_message

Protocol = Literal["udp", "tcp"]
Means = Literal["pcp", "nat-pmp", "upnp"]
"""The protocols in which routers take requests for port mappings."""


class Port(Struct, frozen=True):
    """A port to be mapped to the external port with the same number. A UPnP router shows `name` for it."""

    protocol: Protocol
    port: int
    name: str


class RecordedPort(Port, frozen=True):
    """A port that was granted before. Not `own`: another program had set the mapping up, and it is never given back."""

    own: bool


class Record(Struct, frozen=True):
    """What was granted before: by which router, to which address of this machine, and in which protocol. `nonce` is 12
    bytes in hex with PCP, otherwise ""."""

    gateway: str
    local: str
    means: Means
    nonce: str
    mappings: tuple[RecordedPort, ...]


class Request(Struct, frozen=True):
    """`map` asks for exactly these ports, and gives back the record's other ports. `renew` asks the record's router for
    the record's ports again. `unmap` gives the record's ports back. `seconds` is the lease."""

    action: Literal["map", "renew", "unmap"]
    seconds: int
    mappings: tuple[Port, ...]
    record: Record | None


class Result(Struct, frozen=True):
    """The outcome for one port. `reason` is one of engine/internal/portmap/message.go. `seconds` is the lease; None: it
    does not end."""

    protocol: Protocol
    port: int
    name: str
    reason: str
    text: str
    external_port: int
    seconds: int | None
    own: bool


class Tried(Struct, frozen=True):
    """A protocol in which the router did not answer."""

    means: Means
    reason: str
    text: str


class Answer(Struct, frozen=True):
    """`external_address` is the router's own address. `means` is "" if the router answered in no protocol. `error` says
    why nothing new is mapped, or which ports the router did not take back; its codes are those of whole requests in
    engine/internal/portmap/message.go."""

    gateway: str
    local: str
    means: Means | Literal[""]
    nonce: str
    external_address: str
    mappings: tuple[Result, ...]
    tried: tuple[Tried, ...]
    error: Failure | None = None


def parse_answer(text: str) -> Answer | FailureAnswer:
    """FailureAnswer if the engine did not accept the request. Raises ValueError if the text is neither."""
    try:
        return parse_message(Answer, text)
    except MissingKeyError:
        return parse_message(FailureAnswer, text)
