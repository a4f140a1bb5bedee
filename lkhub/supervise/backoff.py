"""How long to wait before a process that ended is started again. Pure."""

import math
from dataclasses import dataclass

# The first restart is at once: whoever is in a call hears the gap. What keeps failing is tried less and
# less often, but never less than twice a minute: the cause (a full disk, a lost address) may go away.
FIRST_SECONDS = 0.2
FACTOR = 2.0
CEILING_SECONDS = 30.0
MAX_EXPONENT = 10

# For so long a process has to be well to make up for one failure: short, because each wait is somebody's silence, and
# long enough that nothing is started more than twice a second for ever. Only what was ready was well, so what can't
# start is never tried in a tight loop, however long its tries take.
FORGIVE_SECONDS = 0.5


@dataclass
class Backoff:
    """The delays of one process, or of something else that is tried again."""

    failures: float = 0.0
    first: float = FIRST_SECONDS
    ceiling: float = CEILING_SECONDS

    def next_delay(self, well_seconds: float) -> float:
        """Seconds to wait now that the process has ended after being well for `well_seconds`."""
        self.failures = max(0.0, self.failures - well_seconds / FORGIVE_SECONDS) + 1
        if self.failures <= 1:
            return 0.0
        # Past the ceiling the exponent means nothing, and of a process that failed for days it overflows.
        exponent = min(self.failures - 2, MAX_EXPONENT)
        return min(self.ceiling, self.first * math.pow(FACTOR, exponent))
