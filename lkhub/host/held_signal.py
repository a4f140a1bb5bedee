"""SIGTERM, held back while a program is being started: its handler's exception must not come while the program is there
and is not known yet."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


def exit_at_sigterm() -> None:
    """Have SIGTERM end this program by an exception, so that what it has started ends with it. The first process of a
    container ignores the signal otherwise."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


@contextlib.contextmanager
def hold_sigterm() -> Iterator[Callable[[], None]]:
    """Hold SIGTERM back until the function that this yields is called, or the block ends. To be used in the main
    thread."""
    signals: list[int] = []
    before: Any = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))

    def release() -> None:
        signal.signal(signal.SIGTERM, before)
        while signals:
            signal.raise_signal(signals.pop())

    try:
        yield release
    finally:
        release()
