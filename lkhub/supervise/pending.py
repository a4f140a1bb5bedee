"""A change that waits until nobody is in a call."""

from dataclasses import dataclass

from lkhub.prepare.hub import PreparedHub
from lkhub.wire.control import PendingChange


@dataclass(frozen=True)
class Pending:
    """`hub` is what the operator wants, `change` what it waits for."""

    hub: PreparedHub
    change: PendingChange
