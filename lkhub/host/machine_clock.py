"""The clock that counts since this machine's start. Nobody sets it, and all processes of the machine share it."""

import os
import time
from pathlib import Path


class MachineClock:
    """Seconds. Two of these may be compared if their `start` is the same and not empty."""

    def __init__(self) -> None:
        self.start = _identify_start()

    def __call__(self) -> float:
        return time.monotonic()


def _identify_start() -> str:
    """Which start of which machine the clock counts from; "" where the system does not tell. A container may have a
    clock of its own (time_namespaces(7))."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/time')}"
    except OSError:
        return ""
