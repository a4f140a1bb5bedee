"""JSON that another program may have written or damaged."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A document, or a part of it, whose keys are defined elsewhere: by Caddy, LiveKit, nft, a cloud, or by a contract with
users. Classes of our own would only repeat that definition."""


def parse_json(text: str | bytes) -> Any:
    """What `text` says. Raises ValueError for all that is not JSON, and for JSON that is nested too deep to be read:
    json.loads raises a RecursionError there, which callers do not expect."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def parse_finite_json(text: str | bytes) -> Any:
    """As `parse_json`, for records and messages of lkhub: also raises ValueError for NaN, and for a number that is too
    large for a float. Neither of them is a time or a length."""
    try:
        return json.loads(text, parse_float=_parse_float, parse_constant=_parse_float)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value
