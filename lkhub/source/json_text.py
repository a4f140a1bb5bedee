"""JSON that another program may have written or damaged."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What `text` says. Raises ValueError for all that is not JSON, and for JSON that is nested too deep to be read:
    json.loads raises a RecursionError there, which callers do not expect."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
