"""Data as YAML, in the form that people write it."""

import io
from collections.abc import Mapping

from lkhub.source.json_text import Json
from lkhub.source.yaml import PlainYAML

# Longer lines are folded, and people read the lines of a command or a path whole.
WIDTH = 400


def dump_yaml(data: Mapping[str, Json], width: int = WIDTH) -> str:
    """A block for each mapping and list."""
    yaml = PlainYAML()
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = width
    text = io.StringIO()
    yaml.dump(dict(data), text)
    return text.getvalue()
