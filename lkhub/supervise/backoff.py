"""How long to wait before a process that ended is started again. Pure."""

import math
from dataclasses import dataclass

FACTOR = 2.0
MAX_EXPONENT = 10

# How long a process has to be ready to make up for one failure. Short, because participants hear nothing during each
# wait; long enough that no process is started more than twice a second for ever. Only time after a process was ready
# counts, so a process that can't start is never tried in a tight loop, however long each attempt takes.
FORGIVE_SECONDS = 0.5

# A process that does not show when it is ready, such as an agent, has failed at its start if it ends sooner: Python may
# take seconds to find that a module is missing.
SETTLED_SECONDS = 30.0


@dataclass
class Backoff:
    """The delays before one process, or another action, is tried again: first none, then `first` seconds, then twice
    as long each time, up to `ceiling` seconds."""

    first: float
    ceiling: float
    failures: float = 0.0

    def next_delay(self, well_seconds: float) -> float:
        """Seconds to wait now that the process has ended after being well for `well_seconds`."""
        self.failures = max(0.0, self.failures - well_seconds / FORGIVE_SECONDS) + 1
        if self.failures <= 1:
            return 0.0
        # Above the ceiling a larger exponent changes nothing, and after days of failures it would overflow.
        exponent = min(self.failures - 2, MAX_EXPONENT)
        return min(self.ceiling, self.first * math.pow(FACTOR, exponent))
