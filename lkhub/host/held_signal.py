"""SIGTERM, held back while a program is being started: its handler's exception must not come while the program is there
and is not known yet."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


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
