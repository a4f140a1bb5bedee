"""How long to wait before a process that ended is started again. Pure."""

from dataclasses import dataclass

# The first restart is at once: whoever is in a call hears the gap. What keeps failing is tried less and
# less often, but never less than twice a minute: the cause (a full disk, a lost address) may go away.
FIRST_SECONDS = 0.2
FACTOR = 2.0
CEILING_SECONDS = 30.0
MAX_EXPONENT = 10

# After running this long a process counts as sound and its next restart is immediate: longer than any start
# takes, so that what can't start is never tried in a tight loop, and short, because each wait is somebody's
# silence.
SOUND_AFTER_SECONDS = 2.0


@dataclass
class Backoff:
    """The delays of one process, or of something else that is tried again."""

    failures: int = 0
    first: float = FIRST_SECONDS
    ceiling: float = CEILING_SECONDS

    def next_delay(self, ran_seconds: float) -> float:
        """Seconds to wait now that the process has ended after running for `ran_seconds`."""
        if ran_seconds >= SOUND_AFTER_SECONDS:
            self.failures = 0
        self.failures += 1
        if self.failures == 1:
            return 0.0
        # Past the ceiling the exponent means nothing, and of a process that failed for days it overflows.
        return min(self.ceiling, self.first * FACTOR ** min(self.failures - 2, MAX_EXPONENT))
