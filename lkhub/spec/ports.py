"""Ports of a spec. Each error says what was expected."""

import re
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.shown import shown

Off: TypeAlias = Literal["off"]

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
