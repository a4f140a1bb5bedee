"""Values of a spec that YAML has no type for. For any other value, each error says what was expected."""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.secret import SecretSource, describe_schema, describe_source, parse_secret_source
from lkhub.shown import shown
from lkhub.spec.duration import Duration, parse_drain

T = TypeVar("T")

# Of a long list whose items are all wrong, only the first few are reported.
MAX_PROBLEMS = 2

Off: TypeAlias = Literal["off"]
Reach: TypeAlias = Literal["local", "lan", "public"]
TlsMode: TypeAlias = Literal["off", "internal", "acme", "files", "tailscale", "external"]
Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123, section 2.1
_PORT_SCHEMA = {"type": "integer", "minimum": 1, "maximum": 65535}
_RANGE_SCHEMA = {"type": "string", "pattern": r"^\d+-\d+$"}
_OFF_SCHEMA = {"const": "off"}


class PortRange(NamedTuple):
    """UDP or TCP ports from `start` to `end`, both included. A single port is a range of length one."""

    start: int
    end: int

    def __str__(self) -> str:
        return str(self.start) if self.start == self.end else f"{self.start}-{self.end}"

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.start <= port <= self.end

    def overlaps(self, other: "PortRange") -> bool:
        return self.start <= other.end and other.start <= self.end


class AskStun(NamedTuple):
    """The advertised address is what the STUN server `server` (`host:port`) says."""

    server: str


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


def parse_domain(value: Any) -> str:
    """A DNS name with a dot in it, in lower case, as certificates have them."""
    text = value.lower().removesuffix(".") if isinstance(value, str) else ""
    if re.fullmatch(r"[a-z]+://.*", text):
        raise ValueError(f"{shown(value)} is a URL; write the name alone, such as rtc.example.com")
    if _is_ip(text):
        raise ValueError(f"{shown(value)} is an IP address; write a DNS name, or media.advertise for the address")
    if not text.isascii() and _is_domain(written := _to_ascii(text)):
        raise ValueError(f"{shown(value)} has letters that DNS does not know; write its ASCII form, {written}")
    if not _is_domain(text):
        raise ValueError(f"{shown(value)} is not a DNS name such as rtc.example.com")
    return text


def _is_domain(text: str) -> bool:
    # The last label begins with a letter: clients take a name that ends in a number for an IPv4 address.
    return len(text) <= 253 and re.fullmatch(rf"({_LABEL}\.)+(?=[a-z]){_LABEL}", text) is not None


def _to_ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return ""


def _is_ip(text: str) -> bool:
    try:
        return bool(ip_address(text.strip("[]")))
    except ValueError:
        return False


def parse_email(value: Any) -> str:
    """An e-mail address; only typing errors are found, not whether the address exists."""
    if isinstance(value, str) and re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        return value
    raise ValueError(f"{shown(value)} is not an e-mail address")


def parse_file_path(value: Any) -> str:
    """The path of a file, there or not."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise ValueError(f"{shown(value)} is not the path of a file")


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
Domain: TypeAlias = Annotated[
    str, PlainValidator(parse_domain), WithJsonSchema({"type": "string", "format": "hostname"})
]
Email: TypeAlias = Annotated[str, PlainValidator(parse_email), WithJsonSchema({"type": "string", "format": "email"})]
FilePath: TypeAlias = Annotated[
    str, PlainValidator(parse_file_path), WithJsonSchema({"type": "string", "minLength": 1})
]
Networks: TypeAlias = Annotated[
    tuple[Network, ...],
    PlainValidator(parse_networks),
    PlainSerializer(lambda networks: [str(network) for network in networks]),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
Drain: TypeAlias = Annotated[
    Duration,
    PlainValidator(parse_drain),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}[smhd]$"}),
]
SecretValue: TypeAlias = Annotated[
    SecretSource,
    PlainValidator(parse_secret_source),
    PlainSerializer(describe_source),
    WithJsonSchema(describe_schema()),
]
"""A secret of the spec: itself, `{file: PATH}` or `{env: NAME}`."""
Stun: TypeAlias = Annotated[
    Literal["own"] | tuple[str, ...],
    PlainValidator(parse_stun),
    WithJsonSchema({"anyOf": [{"const": "own"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
