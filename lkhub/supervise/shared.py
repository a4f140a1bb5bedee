"""What all children of a supervisor share: paths, timings, held sockets, environment."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.supervise.held import HeldSockets
from lkhub.supervise.timings import USUAL, Timings

Say = Callable[[str], None]
"""Called with each event, as a text for people."""

Returned = Callable[[ProcessPlan], Awaitable[None]]
"""Called when a process that ended by itself is ready again."""


async def ignore(_: ProcessPlan) -> None:
    """Do nothing when a process is ready again."""


@dataclass
class Shared:
    """`held` are the held sockets of all children; `environ` has the values of the environment variables that the spec
    refers to."""

    paths: StatePaths
    say: Say
    returned: Returned = ignore
    timings: Timings = USUAL
    held: HeldSockets = field(default_factory=HeldSockets)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def use_environ(self, environ: Mapping[str, str]) -> None:
        """Start processes with these values from now on."""
        self.environ = dict(environ)
