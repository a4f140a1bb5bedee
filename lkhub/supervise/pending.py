"""A change that waits until nobody is in a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lkhub.prepare.hub import PreparedHub


@dataclass(frozen=True)
class Pending:
    """`hub` is what the operator wants. The change `restarts` processes and waits for `participants` (None: could not
    ask). `ways`: see lkhub.plan.process.list_ways."""

    hub: PreparedHub
    restarts: tuple[str, ...]
    participants: int | None
    ways: tuple[str, ...]

    def as_json(self) -> Mapping[str, Any]:
        """For `status`."""
        return {"restarts": self.restarts, "people": self.participants, "ways": self.ways}
