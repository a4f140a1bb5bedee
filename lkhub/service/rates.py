"""How often something may happen: windows that move with time, kept in this process. Pure.

A window is the times of its last requests, so a request costs half a microsecond. The library `limits` takes 7 to 11 µs
for it, and 6 MiB.
"""

from collections import deque

from lkhub.wire.application import Rate

# Enough for all callers of a busy hour. More would let strangers with many addresses fill the memory: beyond it, the
# windows that were not used for the longest are forgotten.
MOST_WINDOWS = 20_000

# How many times a window keeps. Where a rate has more, each of them stands for several requests.
MOST_TIMES = 1000


class _Window:
    """`times`: when each of the last steps ended. `part`: how many requests the last of them has so far."""

    __slots__ = ("part", "times")

    def __init__(self, steps: int) -> None:
        self.times = deque[float](maxlen=steps)
        self.part = 0


class Windows:
    """One window for each key. `rate` is None where there is no limit. `now` is of a monotonic clock, in seconds."""

    def __init__(self, rate: Rate | None) -> None:
        self._seconds = rate.seconds if rate else 0
        self._step = -(-rate.times // MOST_TIMES) if rate else 0
        self._steps = rate.times // self._step if rate else 0
        self._windows: dict[str, _Window] = {}

    def find_wait(self, key: str, now: float) -> float:
        """For how many seconds the next request has to wait; 0 where it need not."""
        window = self._windows.get(key)
        if window is None or len(window.times) < self._steps or window.part < self._step:
            return 0.0
        return max(0.0, window.times[0] + self._seconds - now)

    def count(self, key: str, now: float) -> None:
        """A request has happened."""
        if not self._steps:
            return
        window = self._windows.pop(key, None)
        if window is None:
            if len(self._windows) >= MOST_WINDOWS:
                del self._windows[next(iter(self._windows))]
            window = _Window(self._steps)
        if window.times and window.part < self._step:
            window.times[-1] = now
            window.part += 1
        else:
            window.times.append(now)
            window.part = 1
        self._windows[key] = window  # the last of all: the one that was used last
