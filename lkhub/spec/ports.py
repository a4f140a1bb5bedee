"""Ports of a spec. Each error says what was expected."""

import re
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.shown import shown

Off: TypeAlias = Literal["off"]

_PORT_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": 65535}
_RANGE_SCHEMA: dict[str, object] = {"type": "string", "pattern": r"^\d+-\d+$"}
_OFF_SCHEMA: dict[str, object] = {"const": "off"}


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


def parse_one_or_two_ranges(value: Any) -> tuple[PortRange, ...]:
    """A port or a range, or a list of two of them."""
    return tuple(parse_port_range(each) for each in _list_one_or_two(value, "[7882, 7892]"))


def parse_one_or_two_ports(value: Any) -> tuple[int, ...] | Off:
    """A port, a list of two ports, or the word off."""
    if isinstance(value, list | tuple):
        return tuple(parse_port(each) for each in _list_one_or_two(value, "[7881, 7891]"))
    found = parse_port_or_off(value)
    return "off" if found == "off" else (found,)


def _list_one_or_two(value: Any, form: str) -> tuple[Any, ...]:
    # A range is a tuple too.
    items = (value,) if isinstance(value, PortRange) or not isinstance(value, list | tuple) else tuple(value)
    if len(items) not in (1, 2):
        raise ValueError(f"{len(items)} ports; write one, or the two of two media processes, such as {form}")
    return items


def parse_port_or_off(value: Any) -> int | Off:
    """A port, or the word off."""
    if value == "off":
        return "off"
    try:
        return parse_port(value)
    except ValueError as error:
        raise ValueError(f"{error}; write a port, or off") from None


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


def _dump_ports(ports: tuple[object, ...] | Off) -> Any:
    if ports == "off":
        return ports
    texts = [each if isinstance(each, int) else str(each) for each in ports]
    return texts[0] if len(texts) == 1 else texts


def _one_or_two(*schemas: dict[str, object]) -> dict[str, object]:
    each: dict[str, object] = {"anyOf": [*schemas]} if len(schemas) > 1 else schemas[0]
    return {"type": "array", "items": each, "minItems": 1, "maxItems": 2}


PortsOfMedia: TypeAlias = Annotated[
    tuple[PortRange, ...],
    PlainValidator(parse_one_or_two_ranges),
    PlainSerializer(_dump_ports),
    WithJsonSchema({"anyOf": [_PORT_SCHEMA, _RANGE_SCHEMA, _one_or_two(_PORT_SCHEMA, _RANGE_SCHEMA)]}),
]
TcpOfMedia: TypeAlias = Annotated[
    tuple[int, ...] | Off,
    PlainValidator(parse_one_or_two_ports),
    PlainSerializer(_dump_ports),
    WithJsonSchema({"anyOf": [_PORT_SCHEMA, _OFF_SCHEMA, _one_or_two(_PORT_SCHEMA)]}),
]
