"""What all children of a supervisor share."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.supervise.held import HeldSockets
from lkhub.supervise.timings import USUAL, Timings

Say = Callable[[str], None]
"""Hears of everything that happens, for people."""

Returned = Callable[[ProcessPlan], Awaitable[None]]
"""Is called when a process is ready again that ended by itself."""


async def ignore(_: ProcessPlan) -> None:
    """Nothing follows from it that a process is ready again."""


@dataclass
class Shared:
    """`held` are the sockets that are kept for children, `environ` the values of the environment variables that the
    spec refers to."""

    paths: StatePaths
    say: Say
    returned: Returned = ignore
    timings: Timings = USUAL
    held: HeldSockets = field(default_factory=HeldSockets)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def use_environ(self, environ: Mapping[str, str]) -> None:
        """From now on processes are started with these values."""
        self.environ = dict(environ)
