"""What the keeper of an agent tells the service manager, from time to time: root and the agent's user alone see which
of its processes is connected to media."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from lkhub.host.agent_home import InstallFailure
from lkhub.host.service_manager import is_managed, tell_manager
from lkhub.wire.agent import KeptAgent, KeptWorker, show_kept

# How often it tells of its workers' connections. To see them costs some milliseconds.
TELL_SECONDS = 2.0


@dataclass
class Told:
    """What was told last."""

    state: str = ""
    _line: str = ""
    _next: float = 0.0

    def is_due(self) -> bool:
        """Whether the workers' connections are to be looked at and told now. Where they are, they are not again for
        some seconds."""
        now = time.monotonic()
        if now < self._next or not is_managed():
            return False
        self._next = now + TELL_SECONDS
        return True

    def tell(
        self,
        state: str,
        restarts: int,
        workers: Iterable[KeptWorker],
        failure: InstallFailure | None,
        ended: int | None = None,
    ) -> None:
        """Tell of the agent, where that differs from what was told before. `failure`: why what it has to run could not
        be installed. `ended`: as in KeptAgent."""
        self.state = state
        at, why = (failure.at, failure.why) if failure else (None, "")
        line = show_kept(KeptAgent(state, restarts, tuple(workers), failed=at, why=why, ended=ended))
        if line != self._line:
            self._line = line
            tell_manager(STATUS=line)
