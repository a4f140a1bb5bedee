"""The processes that a process has started, or that run as its user, and that end with it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Collection

import psutil

from lkhub.host.processes import ProcessId, has_its_pid, identify, is_alive
from lkhub.plan.users import choose_killer

# How long descendants are ended. Only what runs as our own user, and starts processes without end, takes longer.
_END_SECONDS = 5.0

# A process may signal those that have its effective user as their real or saved one. So this one, which has the user
# that it kills as its effective one alone, can be neither killed nor stopped by that user.
_KILL_ALL = """
import os, signal, sys
uid, own = map(int, sys.argv[1:])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(own, uid, own)
try:
    os.kill(-1, signal.SIGKILL)
except ProcessLookupError:
    pass
"""


class Session:
    """The session of `leader` and what descends from it in other sessions, apart from `leader` itself. The system gives
    the number of a session to no other process as long as one of the session's own is there; so what is found in it
    counts only while one that was known before is still there.

    `uid` is the leader's user: the one that it is said to become, until it is seen to have become one. An agent is ours
    until it is installed, and may be killed before anybody has looked again."""

    def __init__(self, leader: ProcessId, uid: int | None = None) -> None:
        self.leader, self.uid = leader, uid
        self._known: tuple[ProcessId, ...] = ()

    def find_members(self) -> tuple[ProcessId, ...]:
        """The processes that run now. After the end of the leader: those that were found before, what descends from
        them, and their session. Raises OSError where this can't be determined."""
        uid = _find_uid(self.leader)
        if self.uid is None or uid not in (None, os.geteuid()):
            self.uid = uid
        inside = set(filter(None, (identify(pid) for pid in psutil.pids() if self._has(pid))))
        if not has_its_pid(self.leader) and not any(self._is_there(each) for each in self._known):
            inside = set()
        known = {each for each in self._known if is_alive(each)}
        below = _find_below({self.leader, *known})
        self._known = tuple(sorted(inside | known | below, key=lambda each: each.pid))
        return self._known

    def _has(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return pid != self.leader.pid and os.getsid(pid) == self.leader.pid
        return False

    def _is_there(self, process: ProcessId) -> bool:
        return self._has(process.pid) and identify(process.pid) == process


def _find_uid(process: ProcessId) -> int | None:
    """The user of a process; None where it has ended."""
    with contextlib.suppress(psutil.Error, OSError):
        uid = psutil.Process(process.pid).uids().real
        if is_alive(process):
            return uid
    return None


def _find_below(processes: Collection[ProcessId]) -> set[ProcessId]:
    """What descends from any of them. All parents are read once: an agent may have thousands of processes."""
    children: dict[int, list[int]] = {}
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            children.setdefault(each.ppid(), []).append(each.pid)
    # Whatever is alive now is what had its number when the parents were read.
    waiting = [each.pid for each in processes if is_alive(each)]
    below: set[int] = set()
    while waiting:
        found = set(children.get(waiting.pop(), ())) - below
        below |= found
        waiting += found
    return set(filter(None, map(identify, below)))


def list_descendants() -> set[psutil.Process]:
    """What descends from this process."""
    return set(psutil.Process().children(recursive=True))


def end_user(uid: int) -> None:
    """As root, kill all processes of a user that has none but those of other people's code."""
    ends = time.monotonic() + _END_SECONDS
    while True:
        killed = _kill_at_once(uid)
        if not _list_of(uid) or time.monotonic() > ends:
            return
        if not killed:  # no process can be started where that code has taken all there are
            _end_those_listed(uid, ends)


def _kill_at_once(uid: int) -> bool:
    """By one call of the kernel, which no code outruns that starts processes without end. False where the process that
    makes it failed, or could not be started."""
    argv = [sys.executable, "-I", "-S", "-c", _KILL_ALL, str(uid), str(choose_killer(uid))]
    try:
        subprocess.run(argv, env={}, check=True, capture_output=True, timeout=_END_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _end_those_listed(uid: int, ends: float) -> None:
    """Stop all processes of a user, and kill them when no other one is found: each keeps its place until then, so that
    none can be started there."""
    stopped: set[psutil.Process] = set()
    while time.monotonic() < ends and (found := _list_of(uid) - stopped):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.suspend()
        stopped |= found
    for process in stopped:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(list(stopped), 0.1)


def _list_of(uid: int) -> set[psutil.Process]:
    """The processes of a user, without those that have ended."""
    return {each for each in psutil.process_iter() if _is_of(each, uid)}


def _is_of(process: psutil.Process, uid: int) -> bool:
    # Not by process_iter's `attrs`: it keeps what it has read with the process, which other threads look at too.
    with contextlib.suppress(psutil.Error):
        return process.uids().real == uid and (process.status() != psutil.STATUS_ZOMBIE or _has_threads(process))
    return False


def _has_threads(zombie: psutil.Process) -> bool:
    """Whether threads of a process run on whose first one has ended. Its status is the same as if all had."""
    return zombie.num_threads() > 1


def end_descendants(kept: Collection[psutil.Process] = ()) -> None:
    """Kill what descends from this process, except for `kept`. What has been detached does only where `adopt_left` was
    called before."""
    ends = time.monotonic() + _END_SECONDS
    while time.monotonic() < ends and (left := list_descendants().difference(kept)):
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, 0.1)
