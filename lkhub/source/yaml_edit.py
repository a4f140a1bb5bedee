"""Other values in a YAML text, which stays as it is otherwise: its comments, its order, its quotes."""

import json
import re
from collections.abc import Mapping

from lkhub.source.path import Path
from lkhub.source.yaml import find_values

# Texts that need no quotes, wherever they stand.
_PLAIN = re.compile(r"/[A-Za-z0-9/._-]*")


def replace_values(text: str, values: Mapping[Path, str]) -> str:
    """The text with these values at their paths. A value stays where it is empty, has an anchor or a tag, or is a block
    of lines; and where the text has none at its path, or is not YAML."""
    places = find_values(text, values)
    for path in sorted(places, key=lambda path: places[path].start, reverse=True):
        place = places[path]
        if text[place] and text[place.start] not in "&!|>":
            text = text[: place.start] + _write(values[path]) + text[place.stop :]
    return text


def _write(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
