"""What all children of a supervisor share: paths, timings, held sockets, environment."""

import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lkhub.host.processes import ProcessId, is_alive
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.state.identity import Identity
from lkhub.supervise.held import HeldSockets
from lkhub.supervise.timings import USUAL, Timings

Say = Callable[[str], None]
"""Called with each event, as a text for people."""

Returned = Callable[[ProcessPlan], Awaitable[None]]
"""Called when a process that ended by itself is ready again."""


async def ignore(_: ProcessPlan) -> None:
    """Do nothing when a process is ready again."""


Retire = Callable[[ProcessPlan, ProcessId, "subprocess.Popen[bytes] | None"], None]
"""Called with a process that was told to end, and need not be waited for."""

HandOver = Callable[[ProcessPlan, ProcessId, "subprocess.Popen[bytes] | None"], Awaitable[None]]
"""Called with a process whose successor runs."""


def forget(_: ProcessPlan, __: ProcessId, ___: "subprocess.Popen[bytes] | None") -> None:
    """Do not watch a process that was told to end."""


async def leave(_: ProcessPlan, __: ProcessId, ___: "subprocess.Popen[bytes] | None") -> None:
    """Do not watch a process whose successor runs."""


@dataclass
class Shared:
    """`held` are the held sockets of all children; `environ` has the values of the environment variables that the spec
    refers to. `agents` are the agents that were started or have retired, also where a full disk takes no record."""

    paths: StatePaths
    say: Say
    returned: Returned = ignore
    retire: Retire = forget
    hand_over: HandOver = leave
    timings: Timings = USUAL
    held: HeldSockets = field(default_factory=HeldSockets)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    agents: dict[ProcessId, Identity] = field(default_factory=dict)

    def note_agent(self, identity: Identity) -> None:
        """Add to `agents`, where it is one, and leave out those that have ended."""
        for process in [each for each in self.agents if not is_alive(each)]:
            del self.agents[process]
        if identity.plan.registers:
            self.agents[identity.process] = identity

    def use_environ(self, environ: Mapping[str, str]) -> None:
        """Start processes with these values from now on."""
        self.environ = dict(environ)
