"""Durations, as specs and command lines write them."""

import re
from typing import Any

from lkhub.shown import shown

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# Longer than any call, and a number that every service manager takes.
_MAX_DRAIN = 7 * _UNITS["d"]

_MAX_LIFETIME = 3650 * _UNITS["d"]


class Duration(int):
    """Whole seconds; as text `30s`, `5m`, `6h` or `30d`."""

    def __str__(self) -> str:
        if not self:
            return "0s"
        unit = next(unit for unit in reversed(_UNITS) if self % _UNITS[unit] == 0)
        return f"{self // _UNITS[unit]}{unit}"


def parse_duration(value: Any) -> Duration:
    """`90s`, `30m`, `6h` or `30d`."""
    if isinstance(value, Duration):
        return value
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,9})([smhd])", value)):
        return Duration(int(match[1]) * _UNITS[match[2]])
    raise ValueError(f"{shown(value)} is not a duration; write a number and a unit: 90s, 30m, 6h, 30d")


def parse_drain(value: Any) -> Duration:
    """A duration of up to a week."""
    duration = parse_duration(value)
    if duration > _MAX_DRAIN:
        raise ValueError(f"{shown(value)} is over {Duration(_MAX_DRAIN)}, the longest that a stop waits")
    return duration


def parse_lifetime(value: Any) -> Duration:
    """A duration of a second to ten years."""
    duration = parse_duration(value)
    if not 1 <= duration <= _MAX_LIFETIME:
        raise ValueError(f"{shown(value)} is not between 1s and {Duration(_MAX_LIFETIME)}")
    return duration


# Long enough to say goodbye, short enough for a service manager, whose own limit is usually 90 s.
DEFAULT_DRAIN = Duration(30)
