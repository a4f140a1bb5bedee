"""Bits per second as text."""

import re

_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9}

# No network is faster than this, and every program can print it.
_MOST = 10**15


def parse_rate(text: str) -> int:
    """Bits per second from `100M`, `2.5G` or `100 Mbit/s`. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([kMG])(?:bit(?:/s)?)?", text)
    bits = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not 0 < bits <= _MOST:
        raise ValueError("write bits per second as a number and a unit: 40M or 1G, as providers do")
    return bits


def describe_rate(bits: int) -> str:
    """`50 kbit/s`, `1.7 Mbit/s`: three digits are true of a plan, and no more."""
    rounded = {unit: float(f"{bits / size:.3g}") for unit, size in _UNITS.items()}
    unit = next((unit for unit, number in rounded.items() if number < 1000), "G")
    return f"{rounded[unit]:,.15g} {unit}bit/s"
