"""Commands that `kill -9` ends at random moments: after a time, or before a system call that changes a file."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

# What changes a file or a folder, and what waits until a change is on the disk. Between two of them, nothing changes.
_CHANGES = (
    "/^(renameat2|renameat|rename|unlinkat|unlink|rmdir|mkdirat|mkdir|linkat|link|symlinkat|symlink|fchmod|chmod"
    "|ftruncate|fsync|write|sendfile)$"
)
# A command that makes fewer calls than when they were counted has ended before.
ENDED_SECONDS = 60.0

# How many of ten kills come after a time. A command loads modules for most of that.
BY_TIME = 0.3


@dataclass(frozen=True)
class Whole:
    """How long a command takes that is not killed, and which of those system calls its first thread makes."""

    seconds: float
    calls: tuple[str, ...]


@dataclass(frozen=True)
class Killed:
    """`moment` is for people. `at_all`: not so where the command had ended before."""

    moment: str
    at_all: bool


class Killer:
    """Kills commands at moments that the seed chooses. `settings` are those of `subprocess.Popen`."""

    def __init__(self, seed: int, folder: Path) -> None:
        assert shutil.which("strace"), "these tests need strace"
        self.random = random.Random(seed)
        self.seed = seed
        self._log = folder / "strace.log"

    def measure(self, argv: list[str], **settings: Any) -> Whole:
        """Run a command to its end, once to measure its time, and once to count. It has to succeed both times."""
        began = time.monotonic()
        _run(argv, settings)
        seconds = time.monotonic() - began
        _run(self._trace(argv), settings)
        return Whole(seconds, self._count())

    def measure_until(self, ready: Callable[[], bool], argv: list[str], **settings: Any) -> Whole:
        """The same of a command that is killed with its children when it is `ready`."""
        began = time.monotonic()
        process = _start(self._trace(argv), settings)
        wait_until(ready, "the command is ready")
        calls = self._count()
        _kill_group(process)
        return Whole(time.monotonic() - began, calls)

    def _trace(self, argv: list[str], *options: str) -> list[str]:
        """strace of the first thread alone."""
        return ["strace", "-qq", "-o", str(self._log), "-e", f"trace={_CHANGES}", *options, *argv]

    def _count(self) -> tuple[str, ...]:
        calls = re.findall(r"^(\w+)\(", self._log.read_text(errors="replace"), re.MULTILINE)
        assert calls
        return tuple(calls)

    def kill(self, whole: Whole, argv: list[str], **settings: Any) -> Killed:
        """Run a command, and kill it at a random moment: alone, or with what it has started in its session."""
        if self.random.random() < BY_TIME:
            seconds = self.random.uniform(0, whole.seconds)
            return self._kill(f"after {seconds:.2f} s", argv, settings, seconds)
        number = self.random.randrange(len(whole.calls))
        name = whole.calls[number]
        # strace counts each kind of call apart.
        when = whole.calls[: number + 1].count(name)
        traced = self._trace(argv, "-e", f"inject={name}:signal=KILL:when={when}")
        killed = self._kill(
            f"in place of {name} {when}, call {number} of {len(whole.calls)}", traced, settings, ENDED_SECONDS
        )
        lines = self._log.read_text(errors="replace").splitlines()
        at = next((line for line in reversed(lines) if line[0] not in "+-"), "")
        return replace(killed, moment=f"{killed.moment}: {at}")

    def _kill(self, moment: str, argv: list[str], settings: dict[str, Any], seconds: float) -> Killed:
        process = _start(argv, settings)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        # strace ends as what it traces. It must not be killed alone, or that would go on.
        if argv[0] == "strace" or self.random.random() < 0.5:
            _kill_group(process)
        process.kill()
        process.wait()
        return Killed(f"{moment} (KILLS_SEED={self.seed})", process.returncode == -signal.SIGKILL)


def _start(argv: list[str], settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(argv, **settings, stdout=quiet, stderr=quiet, start_new_session=True)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _run(argv: list[str], settings: dict[str, Any]) -> None:
    done = subprocess.run(argv, **settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
