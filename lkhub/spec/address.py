"""Addresses and networks of a spec, and STUN servers. Each error says what was expected."""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.shown import shown
from lkhub.spec.ports import parse_port

T = TypeVar("T")

# Of a long list whose items are all wrong, only the first few are reported.
MAX_PROBLEMS = 2

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


class AskStun(NamedTuple):
    """The advertised address is what the STUN server `server` (`host:port`) says."""

    server: str


def parse_addresses(value: Any) -> Literal["auto"] | tuple[Address, ...] | AskStun:
    """`auto`, one IP address, a list of them, or `{stun: host:port}`."""
    if value == "auto":
        return "auto"
    if isinstance(value, AskStun):
        return value
    if isinstance(value, dict):
        if list(value) != ["stun"]:
            raise ValueError("write auto, an IP address, or {stun: host:port}")
        return AskStun(parse_host_port(value["stun"]))
    given = value if isinstance(value, list | tuple) else [value]
    addresses = _parse_each(_parse_address, given)
    if not addresses:
        raise ValueError("the list is empty; write auto, or an IP address")
    if len(set(addresses)) != len(addresses):
        raise ValueError("an address stands there twice")
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


def parse_network(value: Any) -> Network:
    """`10.0.0.0/8`, or one address. A network of IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) becomes one of IPv4,
    since all programs here see IPv4 clients by their IPv4 addresses."""
    try:
        if isinstance(value, str | IPv4Network | IPv6Network):
            network = ip_network(value, strict=False)
            mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
            return IPv4Network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network
    except ValueError:
        pass
    raise ValueError(f"{shown(value)} is not a network such as 10.0.0.0/8, nor an address")


def parse_networks(value: Any) -> tuple[Network, ...]:
    """A list of networks."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is not a list; write [10.0.0.0/8]")
    return _parse_each(parse_network, value)


def parse_stun(value: Any) -> Literal["own"] | tuple[str, ...]:
    """`own`, or a list of STUN servers."""
    if value == "own":
        return "own"
    if isinstance(value, list | tuple) and value:
        return _parse_each(parse_host_port, value)
    raise ValueError("write own, or a list of STUN servers: [stun.example.com:3478]")


Addresses: TypeAlias = Annotated[
    Literal["auto"] | tuple[Address, ...] | AskStun,
    PlainValidator(parse_addresses),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "auto"},
                {"type": "string", "format": "ip"},
                {"type": "array", "items": {"type": "string", "format": "ip"}, "minItems": 1},
                {"type": "object", "properties": {"stun": {"type": "string"}}, "required": ["stun"]},
            ]
        }
    ),
]
Networks: TypeAlias = Annotated[
    tuple[Network, ...],
    PlainValidator(parse_networks),
    PlainSerializer(lambda networks: [str(network) for network in networks]),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
Stun: TypeAlias = Annotated[
    Literal["own"] | tuple[str, ...],
    PlainValidator(parse_stun),
    WithJsonSchema({"anyOf": [{"const": "own"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
