"""A change that waits until no participant is in a room."""

from dataclasses import dataclass

from lkhub.prepare.hub import PreparedHub
from lkhub.wire.control import PendingChange


@dataclass(frozen=True)
class Pending:
    """`hub` is what the operator wants. `change` has the processes to restart and the people it waits for."""

    hub: PreparedHub
    change: PendingChange
