"""Runs the command that builds a web site: other people's code, as another user where that is possible."""

import contextlib
import os
import pwd
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

# Longer than any front end takes on a small machine; a build that waits for a key waits for ever.
BUILD_SECONDS = 15 * 60

# The user that has no files: another one would need to be made first.
_OTHER_USER = "nobody"

# How many lines of the output are kept for the finding, and how much of one.
_KEPT_LINES = 8
_LINE_BYTES = 500

# A line that is longer is not shown.
_READ_BYTES = 64 * 1024

# A build that prints for ever must not fill the disk.
_MOST_OUTPUT = 10 << 20

# How long the output of a build is read that has ended: another process may hold its pipe.
_REST_SECONDS = 5.0


@dataclass(frozen=True)
class OtherUser:
    """A user without rights, for other people's code."""

    uid: int
    gid: int


def find_other_user() -> OtherUser | None:
    """The user that a build runs as; None where it runs as the hub's own, since only root can change to another."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(_OTHER_USER)
        return OtherUser(user.pw_uid, user.pw_gid)
    return None


@dataclass(frozen=True)
class Ended:
    """How a build ended: `problem` is "" where it succeeded. `lines` are its last lines, without secrets."""

    problem: str
    lines: tuple[str, ...]


def run_build(
    command: str,
    folder: str,
    environ: Mapping[str, str],
    secrets: Mapping[str, str],
    output: BinaryIO,
    user: OtherUser | None,
    seconds: float = BUILD_SECONDS,
    started: Callable[[int], None] = lambda _: None,
) -> Ended:
    """Run a command line to its end in `folder`. Its environment is `environ` with `secrets`, whose values are replaced
    by their names in what it prints to `output`. `started` is called with its pid. When this returns or raises, none of
    its processes is left, but for one that has made itself a session."""
    lines: list[str] = []
    with _started(command, folder, {**environ, **secrets}, user) as process:
        started(process.pid)
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, secrets, output, lines), daemon=True)
        reader.start()
        try:
            code = process.wait(seconds)
            problem = "" if code == 0 else _describe(code)
        except subprocess.TimeoutExpired:
            problem = f"it had not ended after {seconds / 60:.0f} minutes"
    reader.join(_REST_SECONDS)
    return Ended(problem, tuple(lines[-_KEPT_LINES:]))


def _describe(code: int) -> str:
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"


@contextlib.contextmanager
def _started(
    command: str, folder: str, environ: Mapping[str, str], user: OtherUser | None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, in a session of its own. All that it has started ends with it, also where it has ended by itself."""
    # An exception of the handler of SIGTERM must not come while the process is there and not known yet.
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o022,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=() if user else None,
        )
        try:
            signal.signal(signal.SIGTERM, before)
            for number in signals:
                signal.raise_signal(number)
            yield process
        finally:
            end_group(process.pid)
            process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def end_group(leader: int) -> None:
    """Kill a build with all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _read(pipe: BinaryIO, secrets: Mapping[str, str], output: BinaryIO, lines: list[str]) -> None:
    written = 0
    with pipe, contextlib.suppress(OSError, ValueError):
        while line := pipe.readline(_READ_BYTES):
            if len(line) == _READ_BYTES:  # a secret may be cut in two here
                line = b"(more than can be shown)\n"
            for name, value in secrets.items():
                line = line.replace(value.encode(), f"[{name}]".encode())
            lines.append(line[:_LINE_BYTES].decode(errors="replace").rstrip())
            del lines[:-_KEPT_LINES]
            written += len(line)
            if written <= _MOST_OUTPUT:
                output.write(line)
                output.flush()
