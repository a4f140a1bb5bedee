"""When a delivery is tried again, and when no more. Pure."""

import random

# The pauses after failed attempts: 1 s, then twice as long each time, up to 5 min. Each is shortened by up to half, so
# that what failed together is not tried again together.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0

# How long a receiver may be away. Afterwards its operator replays what it missed.
DEAD_AFTER_SECONDS = 24 * 3600

# An event that a receiver refuses while it takes others would hold up its room for a day.
REFUSED_AFTER_SECONDS = 600
REFUSED_AFTER_ATTEMPTS = 8


def choose_pause(attempts: int, luck: float | None = None) -> float:
    """How many seconds to wait after so many failed attempts. `luck` is from 0 to 1, by default random."""
    luck = random.random() if luck is None else luck  # noqa: S311
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 30))
    return longest * (1 - luck / 2)


def bound_seconds(attempts: int, answer: float) -> float:
    """How long so many attempts take at most, with `answer` seconds for each: what a clock says of it may be wrong."""
    pauses = sum(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**number) for number in range(min(attempts, 10)))
    return pauses + max(0, attempts - 10) * LONGEST_PAUSE_SECONDS + attempts * answer


def is_dead(attempts: int, seconds: float, takes_others: bool) -> bool:
    """Whether an event is given up that a receiver has not taken in so many attempts, the first of them so long ago.
    `takes_others`: the receiver has taken other events since then."""
    if takes_others and attempts >= REFUSED_AFTER_ATTEMPTS and seconds >= REFUSED_AFTER_SECONDS:
        return True
    return seconds >= DEAD_AFTER_SECONDS and attempts > 1
