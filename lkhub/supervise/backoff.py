"""How long to wait before a process that ended is started again. Pure."""

import math
from dataclasses import dataclass

FACTOR = 2.0
MAX_EXPONENT = 10

# For so long a process has to be well to make up for one failure: short, because each wait is somebody's silence, and
# long enough that nothing is started more than twice a second for ever. Only what was ready was well, so what can't
# start is never tried in a tight loop, however long its tries take.
FORGIVE_SECONDS = 0.5


@dataclass
class Backoff:
    """The delays of one process, or of something else that is tried again: none, `first`, and up to `ceiling`
    seconds."""

    first: float
    ceiling: float
    failures: float = 0.0

    def next_delay(self, well_seconds: float) -> float:
        """Seconds to wait now that the process has ended after being well for `well_seconds`."""
        self.failures = max(0.0, self.failures - well_seconds / FORGIVE_SECONDS) + 1
        if self.failures <= 1:
            return 0.0
        # Past the ceiling the exponent means nothing, and of a process that failed for days it overflows.
        exponent = min(self.failures - 2, MAX_EXPONENT)
        return min(self.ceiling, self.first * math.pow(FACTOR, exponent))
