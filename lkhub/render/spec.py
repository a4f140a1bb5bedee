"""A first hub.yaml, commented from the model's own words."""

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lkhub.source.json_text import Json
from lkhub.source.yaml import parse_plain
from lkhub.spec.model import Spec
from lkhub.spec.ports import PortRange

_WIDTH = 96


def render_spec(chosen: Mapping[str, Json]) -> str:
    """The text of a spec: what was chosen (`{"reach": "lan", "media": {"udp": 443}}`), and every other key commented
    out with its default."""
    parts = ["# hub.yaml: what this hub is. `lkhub up` makes the machine match it.\n"]
    for key, info in Spec.model_fields.items():
        parts.append(_render_field(key, info, {"version": 1, **chosen}.get(key), ""))
    return "\n".join(parts)


def _render_field(key: str, info: FieldInfo, chosen: Any, indent: str) -> str:
    model = info.annotation
    if isinstance(model, type) and issubclass(model, BaseModel):
        return _render_part(key, model, chosen or {}, indent)
    lines = _comment(info.description or "", indent)
    mark = indent if chosen is not None or "#" in indent else f"{indent}# "
    return "\n".join([*lines, f"{mark}{key}: {_show(info, chosen)}"]) + "\n"


def _render_part(key: str, model: type[BaseModel], chosen: Mapping[str, Json], indent: str) -> str:
    """A part of the spec. Where nothing in it was chosen, all of it is commented out."""
    shown = chosen or "#" in indent  # as its surroundings
    inner = f"{indent}  " if shown else f"{indent}#   "
    lines = _comment((model.__doc__ or "").strip(), indent)
    lines.append(f"{indent}{key}:" if shown else f"{indent}# {key}:")
    lines += [
        _render_field(name, below, chosen.get(name), inner).rstrip() for name, below in model.model_fields.items()
    ]
    return "\n".join(lines) + "\n"


def _show(info: FieldInfo, chosen: Any) -> str:
    if isinstance(chosen, str):
        return _quote(chosen)
    value = chosen if chosen is not None else info.get_default(call_default_factory=True)
    if value is None:
        value = (info.examples or [""])[0]
    if isinstance(value, bool):
        return str(value).lower()
    if value == "":
        return '""'
    if value == {}:
        return "{}"
    if isinstance(value, tuple) and not isinstance(value, PortRange):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _quote(text: str) -> str:
    """A text as YAML: plain where that is read as the same text. JSON is YAML."""
    data, document = parse_plain(f"key: {text}\n".encode(), "")
    is_same = not document.faults and data == {"key": text}
    return text if is_same else json.dumps(text, ensure_ascii=False)


def _comment(text: str, indent: str) -> list[str]:
    prefix = indent if indent.endswith("#   ") else f"{indent}# "
    if prefix.endswith("#   "):
        prefix += "# "
    return textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent=prefix, subsequent_indent=prefix)
