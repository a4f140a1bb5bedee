"""The path of a key in structured data. Apart from `lkhub.source.located`: every command imports it."""

from typing import TypeAlias

from lkhub.shown import printable

Path: TypeAlias = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """`("agents", 0, "name")` as `agents[0].name`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else "." * bool(text) + printable(step)
    return text
