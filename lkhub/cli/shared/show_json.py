"""JSON on stdout. Apart from `lkhub.cli.shared.show`, which loads a library for terminals (12 ms)."""

import json
import sys
from typing import Any


def show_json(data: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(data, indent=2) + "\n")
