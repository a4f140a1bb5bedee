"""Which process killed which: the signals that end processes, as the kernel recorded them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_INSTANCES = Path("/sys/kernel/tracing/instances")
_PREFIX = "lkhub-signals-"

# SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGSEGV, SIGTERM.
_ENDING = (1, 2, 3, 6, 9, 11, 15)

# A few thousand events: the signals of a loaded machine within minutes.
_BUFFER_KB = 512

_SENT = re.compile(r"^\s*(?P<sender>.+)-(?P<by>\d+)\s+\[.* signal_generate: sig=(?P<number>\d+) .* pid=(?P<to>\d+) ")


@dataclass(frozen=True)
class Signals:
    """The signals that `noting_signals` recorded. `trace` is None if this machine does not record them, for example
    without root."""

    trace: Path | None

    def describe(self, pid: int) -> str:
        """Which signals `pid` got from which programs, oldest first."""
        if self.trace is None:
            return f"this machine does not tell which signals pid {pid} got"
        sent = [match for line in self.trace.read_text().splitlines() if (match := _SENT.match(line))]
        got = [f"{each['number']} from {each['sender']} (pid {each['by']})" for each in sent if int(each["to"]) == pid]
        return f"signals to pid {pid}: {', '.join(got) or 'none that ends a process'}"


@contextmanager
def noting_signals() -> Iterator[Signals]:
    """Make the kernel record which process sends which other one a signal that ends it (tracefs,
    `signal:signal_generate`)."""
    _remove_left()
    instance = _INSTANCES / f"{_PREFIX}{os.getpid()}"
    try:
        instance.mkdir()
        (instance / "buffer_size_kb").write_text(str(_BUFFER_KB))
        event = instance / "events/signal/signal_generate"
        (event / "filter").write_text("||".join(f"sig=={number}" for number in _ENDING))
        (event / "enable").write_text("1")
    except OSError:
        with suppress(OSError):
            instance.rmdir()
        yield Signals(None)
        return
    try:
        yield Signals(instance / "trace")
    finally:
        instance.rmdir()


def _remove_left() -> None:
    """Remove what killed runs have left."""
    for instance in _INSTANCES.glob(f"{_PREFIX}*"):
        if not Path("/proc", instance.name.removeprefix(_PREFIX)).exists():
            with suppress(OSError):
                instance.rmdir()
