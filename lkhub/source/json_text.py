"""JSON that somebody else may have written or damaged."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What `text` says. Raises ValueError for everything that is no JSON, also where it is nested too deep to be read:
    json.loads ends in a RecursionError there, which nobody expects of a file."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
