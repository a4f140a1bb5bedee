"""A first hub.yaml, commented from the model's own words."""

import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lkhub.spec.model import Spec

_WIDTH = 96
_WRITTEN = ("version", "name", "reach")


def render_spec(reach: str, name: str) -> str:
    """The text of a spec: what was chosen, and every other key commented out with its default."""
    chosen = {"version": 1, "name": name, "reach": reach}
    parts = ["# hub.yaml: what this hub is. `lkhub up` makes the machine match it.\n"]
    for key, info in Spec.model_fields.items():
        parts.append(_render_field(key, info, chosen.get(key), ""))
    return "\n".join(parts)


def _render_field(key: str, info: FieldInfo, chosen: Any, indent: str) -> str:
    lines = _comment(info.description or "", indent)
    model = info.annotation
    if isinstance(model, type) and issubclass(model, BaseModel):
        lines = _comment((model.__doc__ or "").strip(), indent)
        lines.append(f"{indent}# {key}:")
        lines += [
            _render_field(inner, below, None, f"{indent}#   ").rstrip() for inner, below in model.model_fields.items()
        ]
        return "\n".join(lines) + "\n"
    mark = indent if chosen is not None or indent else f"{indent}# "
    return "\n".join([*lines, f"{mark}{key}: {_show(info, chosen)}"]) + "\n"


def _show(info: FieldInfo, chosen: Any) -> str:
    value = chosen if chosen is not None else info.get_default(call_default_factory=True)
    if value is None:
        value = (info.examples or [""])[0]
    if isinstance(value, bool):
        return str(value).lower()
    if value in ((), {}):
        return "[]" if value == () else "{}"
    return str(value)


def _comment(text: str, indent: str) -> list[str]:
    prefix = indent if indent.endswith("#   ") else f"{indent}# "
    if prefix.endswith("#   "):
        prefix += "# "
    return textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent=prefix, subsequent_indent=prefix)
