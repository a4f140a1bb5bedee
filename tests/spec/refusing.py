"""What a parser of the spec says against a value."""

from collections.abc import Callable
from typing import Any


def refuse(parse: Callable[[Any], object], value: Any) -> str:
    """What `parse` says against the value; "" where it takes it."""
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return ""
