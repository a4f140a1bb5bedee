"""Values of a spec that YAML has no type for. Each says what was expected when it is given something else."""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.spec.shown import shown

T = TypeVar("T")

# Of a long list that is all wrong, the first few say it.
MAX_PROBLEMS = 2

Off: TypeAlias = Literal["off"]
Address: TypeAlias = IPv4Address | IPv6Address

_PORT_SCHEMA = {"type": "integer", "minimum": 1, "maximum": 65535}
_RANGE_SCHEMA = {"type": "string", "pattern": r"^\d+-\d+$"}
_OFF_SCHEMA = {"const": "off"}


class PortRange(NamedTuple):
    """UDP or TCP ports from `start` to `end`, both included. One port is a range of one."""

    start: int
    end: int

    def __str__(self) -> str:
        return str(self.start) if self.start == self.end else f"{self.start}-{self.end}"

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.start <= port <= self.end

    def overlaps(self, other: "PortRange") -> bool:
        return self.start <= other.end and other.start <= self.end


def parse_port(value: Any) -> int:
    """`7882` or `"7882"` as a port."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a port number")
    if not 1 <= value <= 65535:
        raise ValueError(f"{shown(value)} is not a port (1 to 65535)")
    return value


def parse_port_range(value: Any) -> PortRange:
    """`7882` or `50000-60000` as a range."""
    if isinstance(value, PortRange):
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d{1,9})\s*-\s*(\d{1,9})\s*", value)):
        start, end = (parse_port(int(group)) for group in match.groups())
        if start > end:
            raise ValueError(f"the range {value} is reversed; write {end}-{start}")
        return PortRange(start, end)
    try:
        port = parse_port(value)
    except ValueError as error:
        raise ValueError(f"{error}; write a port, or a range such as 50000-60000") from None
    return PortRange(port, port)


def parse_port_or_off(value: Any) -> int | Off:
    """A port, or the word off."""
    if value == "off":
        return "off"
    try:
        return parse_port(value)
    except ValueError as error:
        raise ValueError(f"{error}; write a port, or off") from None


def parse_addresses(value: Any) -> Literal["auto"] | tuple[Address, ...]:
    """`auto`, one IP address, or one of each family as a list."""
    if value == "auto":
        return "auto"
    given = value if isinstance(value, list | tuple) else [value]
    addresses = _parse_each(_parse_address, given)
    if not addresses:
        raise ValueError("the list is empty; write auto, or an IP address")
    versions = [address.version for address in addresses]
    if len(set(versions)) != len(versions):
        raise ValueError("LiveKit advertises one address of each family; give one IPv4 and one IPv6")
    return addresses


def _parse_each(parse: Callable[[Any], T], items: Iterable[Any]) -> tuple[T, ...]:
    """Every item parsed; one ValueError with all that is wrong."""
    parsed, problems = [], []
    for item in items:
        try:
            parsed.append(parse(item))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        told = list(dict.fromkeys(problems))
        raise ValueError("; ".join([*told[:MAX_PROBLEMS], *(["…"] if len(told) > MAX_PROBLEMS else [])]))
    return tuple(parsed)


def _parse_address(value: Any) -> Address:
    try:
        address = ip_address(value) if isinstance(value, str | IPv4Address | IPv6Address) else None
    except ValueError:
        address = None
    if address is None:
        raise ValueError(f"{shown(value)} is not an IP address; write auto, or an address such as 192.168.1.5")
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"{address} is not an address that a client can send to")
    return address


def parse_host_port(value: Any) -> str:
    """`host:port` (an IPv6 address in brackets), as a STUN server is written."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,9})", value)):
        parse_port(match[2])
        return value
    raise ValueError(f"{shown(value)} is not host:port")


def parse_stun(value: Any) -> Literal["own"] | tuple[str, ...]:
    """`own`, or a list of STUN servers."""
    if value == "own":
        return "own"
    if isinstance(value, list | tuple) and value:
        return _parse_each(parse_host_port, value)
    raise ValueError("write own, or a list of STUN servers: [stun.example.com:3478]")


Port: TypeAlias = Annotated[int, PlainValidator(parse_port), WithJsonSchema(_PORT_SCHEMA)]
Ports: TypeAlias = Annotated[
    PortRange,
    PlainValidator(parse_port_range),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [_PORT_SCHEMA, _RANGE_SCHEMA]}),
]
PortOrOff: TypeAlias = Annotated[
    int | Off, PlainValidator(parse_port_or_off), WithJsonSchema({"anyOf": [_PORT_SCHEMA, _OFF_SCHEMA]})
]
Addresses: TypeAlias = Annotated[
    Literal["auto"] | tuple[Address, ...],
    PlainValidator(parse_addresses),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "auto"},
                {"type": "string", "format": "ip"},
                {"type": "array", "items": {"type": "string", "format": "ip"}, "minItems": 1, "maxItems": 2},
            ]
        }
    ),
]
Stun: TypeAlias = Annotated[
    Literal["own"] | tuple[str, ...],
    PlainValidator(parse_stun),
    WithJsonSchema({"anyOf": [{"const": "own"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
