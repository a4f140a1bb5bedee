"""Data as YAML, in the form that people write it."""

import io
import json
import re
from collections.abc import Mapping

from lkhub.source.json_text import Json
from lkhub.source.yaml import PlainYAML

# Longer lines are folded, and people read the lines of a command or a path whole.
WIDTH = 400

# Characters that end a line for some readers of YAML and not for others, or that a block can't hold.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def dump_yaml(data: Mapping[str, Json], width: int = WIDTH) -> str:
    """A block for each mapping and list."""
    yaml = PlainYAML()
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = width
    text = io.StringIO()
    yaml.dump(dict(data), text)
    return text.getvalue()


def dump_text(text: str, indent: int) -> str:
    """A text of several lines as the value of a key that is itself indented by `indent`, with the line's end: lines as
    they are where every reader of YAML takes them so, else in quotes."""
    if not text.strip() or _ODD.search(text) or not text.endswith("\n") or text.endswith("\n\n"):
        return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False)) + "\n"
    lines = "".join(f"{' ' * (indent + 2)}{line}\n" if line else "\n" for line in text[:-1].split("\n"))
    # How far a block is indented is taken from its first line, which may be indented itself (YAML 1.2, 8.1.1.1).
    indicator = "2" if text.lstrip("\n").startswith(" ") else ""
    return f"|{indicator}\n{lines}"
