"""How often something may happen, as specs write it."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lkhub.shown import shown

_SECONDS = {"second": 1, "minute": 60, "hour": 3600}
_FORM = "write a number and a time, such as 20/second, 60/minute or 500/hour, or off"


@dataclass(frozen=True)
class Rate:
    """`times` within `seconds`."""

    times: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.times}/{next(name for name, seconds in _SECONDS.items() if seconds == self.seconds)}"


def parse_rate(value: Any) -> Rate | Literal["off"]:
    """`20/second`, `60/minute`, `500/hour` or `off`."""
    if isinstance(value, Rate):
        return value
    if value == "off" or value is False:  # YAML 1.1 reads `off` as false
        return "off"
    found = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{shown(value)} is not a rate; {_FORM}")
    return Rate(int(found[1]), _SECONDS[found[2]])


RateOrOff: TypeAlias = Annotated[
    Rate | Literal["off"],
    PlainValidator(parse_rate),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^([1-9]\d{0,8}/(second|minute|hour)|off)$"}),
]
