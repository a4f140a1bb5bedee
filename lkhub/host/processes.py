"""Processes that outlive their parent: they are detached from the terminal, and recognized by pid and start time."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import psutil

from lkhub.errors import MachineError
from lkhub.host.files import FILE_MODE, explain_os_errors

# Only where the system can't tell us when a process ends (no pidfd): short against the second within
# which media must be back.
POLL_SECONDS = 0.05

# Every process of a hub has this variable in its environment; no other program has it.
MARK = "LKHUB_PROCESS"

# livekit-server reads these over its configuration file (cmd/server/main.go): what a shell happens to hold
# must not change the hub.
_OVERRIDING = ("LIVEKIT_", "NODE_IP", "UDP_PORT", "REDIS_HOST", "REDIS_PASSWORD")

# The supervisor's own, from systemd: Caddy would speak to it in the supervisor's name, and each process has its secrets
# in files of its own.
_OF_SUPERVISOR = ("NOTIFY_SOCKET", "WATCHDOG_", "CREDENTIALS_DIRECTORY", MARK)


@dataclass(frozen=True)
class ProcessId:
    """Identifies a process for certain: the system may reuse a pid, but not together with the start time.

    `started` may only be compared for equality.
    """

    pid: int
    started: str


def identify(pid: int) -> ProcessId | None:
    """The process that runs as `pid` now; None where there is none, or only a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessId(pid, _start_time(process))
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError, ValueError):
        return None


def _start_time(process: psutil.Process) -> str:
    if sys.platform == "linux":
        # Ticks since boot (proc(5), field 22). A wall-clock start time moves when the clock is set, as it
        # is on every boot of a machine without a clock of its own.
        return f"{_boot_id()}/{_read_start_ticks(process.pid)}"
    return str(process.create_time())


def _read_start_ticks(pid: int) -> int:
    # The name in it may be no text.
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])


def find_start(pid: int) -> float | None:
    """When the process was started, in epoch seconds; None where there is none, or the system does not tell."""
    try:
        return _started_at(psutil.Process(pid))
    except (psutil.Error, OSError, ValueError):
        return None


def _started_at(process: psutil.Process) -> float:
    """In epoch seconds. More exact than psutil, whose start of the machine is in whole seconds."""
    if sys.platform != "linux":
        return process.create_time()
    # psutil reads the machine's start time from /proc/stat, which is missing with ProcSubset=pid (systemd.exec(5)).
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + _read_start_ticks(process.pid) / os.sysconf("SC_CLK_TCK")


def _is_same(process: ProcessId) -> bool:
    """Whether the pid still belongs to that process, which may be a zombie. Raises OSError where this can't be
    determined, as without a free descriptor: a process that is wrongly believed to have ended would be started a second
    time."""
    try:
        return _start_time(psutil.Process(process.pid)) == process.started
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        return False
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def _boot_id() -> str:
    """ "" where /proc shows processes alone (ProcSubset=pid of systemd.exec(5))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except FileNotFoundError:
        return ""


def has_its_pid(process: ProcessId) -> bool:
    """Whether the pid still belongs to that process, also where it has ended and its parent has not asked for that yet.
    Raises OSError where this can't be determined."""
    return _is_same(process)


def is_alive(process: ProcessId) -> bool:
    return identify(process.pid) == process


def leads_session_of(leader: int, pid: int) -> bool:
    """Whether `pid` belongs to the session that `leader` leads: a script leads the session of the programs that it has
    started."""
    try:
        return os.getsid(pid) == leader
    except (OSError, OverflowError):  # the process has ended, or this is not a pid
        return False


def read_state(pid: int) -> str:
    """What the process is doing in psutil's words (`sleeping`, `stopped`, …); "" where that is not known."""
    try:
        return str(psutil.Process(pid).status())
    except (psutil.Error, OSError):
        return ""


def is_stopped(process: ProcessId) -> bool:
    """Whether a signal (SIGSTOP, Ctrl-Z, a debugger) keeps it from going on."""
    return read_state(process.pid) in ("stopped", "tracing-stop") and is_alive(process)


def forget_variables(names: Iterable[str]) -> None:
    """Remove variables from our own environment, and so from the environment of every program that we start from now
    on.

    /proc/PID/environ, which this user and root can read, stays as it was when we were started.
    """
    for name in names:
        os.environ.pop(name, None)


def child_environ() -> dict[str, str]:
    """Our own environment without the variables that livekit-server and Caddy would obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith((*_OVERRIDING, *_OF_SUPERVISOR))}


class UnwritableLogError(MachineError):
    """The log of a process can't be opened; the process was not started."""


def start(
    argv: Sequence[str],
    log: str,
    environ: Mapping[str, str],
    inherited: Sequence[int] = (),
    *,
    folder: str = "",
    user: str = "",
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to the file `log` (`os.devnull`: to nowhere).

    A file, not a pipe: the process must not die because a reader has ended, and Ctrl-C in a terminal is for lkhub
    alone. `inherited` file descriptors keep their numbers in the process. It runs in `folder`, as `user`. "" means our
    own folder, and our own user. Raises MachineError.
    """
    rights = _find_rights(user)
    try:
        with explain_os_errors(log, "write"):
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    except MachineError as error:
        raise UnwritableLogError(error.message, hints=error.hints) from error
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            env={**environ, **rights.environ},
            pass_fds=inherited,
            cwd=folder or None,
            user=rights.user,
            group=rights.group,
            extra_groups=rights.groups,
        )
    except OSError as error:
        what = error.filename if error.filename == folder else argv[0]  # either of the two may be missing
        raise MachineError(f"can't start {what}: {(error.strerror or str(error)).lower()}") from error
    finally:
        os.close(handle)


@dataclass(frozen=True)
class _Rights:
    """The user and groups that a process runs as; None: as ours. `environ` are the variables that describe this
    user."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


def _find_rights(name: str) -> _Rights:
    if not name:
        return _Rights()
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise MachineError(f"there is no user {name} on this machine") from None
    if user.pw_uid == os.geteuid():
        return _Rights()
    if os.geteuid() != 0:
        raise MachineError(f"only root can start a process as the user {name}")
    groups = tuple(os.getgrouplist(name, user.pw_gid))
    return _Rights(user.pw_uid, user.pw_gid, groups, {"HOME": user.pw_dir, "USER": name, "LOGNAME": name})


async def wait_until_gone(process: ProcessId) -> None:
    """Return when the process has ended, whichever process is its parent, and has released its ports.

    A zombie may still hold ports: a process becomes a zombie when its first thread has ended, while other threads still
    hold its sockets. A pidfd tells when all threads have ended (pidfd_open(2)).
    """
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return
        try:
            if _is_same(process):
                await anyio.wait_readable(descriptor)
            return
        finally:
            os.close(descriptor)
    while is_alive(process):
        await anyio.sleep(POLL_SECONDS)


def send_signal(process: ProcessId, number: signal.Signals) -> None:
    """Signal the process if it is still the same one."""
    with contextlib.suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            if is_alive(process):
                os.kill(process.pid, number)
            return
        # We may be stopped for minutes between the check and the signal, and the pid may belong to another process by
        # then. A pidfd stays with the process that had it when it was opened.
        descriptor = os.pidfd_open(process.pid)
        try:
            if _is_same(process):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class Running:
    """A process of this user. `mark` is the value of its variable MARK, None where its environment can't be read;
    `session` the pid of its session's first process, `since` its start in epoch seconds."""

    process: ProcessId
    argv: tuple[str, ...]
    mark: str | None
    session: int
    since: float


def list_running() -> list[Running]:
    """This user's processes that have a mark, or for which the system does not tell. Processes of other users are left
    out: any user can give a process this mark."""
    found: list[Running] = []
    for pid in _list_candidates():
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                if process.uids().effective != os.geteuid() or pid == os.getpid() or not _has_our_root(pid):
                    continue
                mark = _read_mark(process)
                identity = identify(pid) if mark != "" else None
                if identity is not None:
                    argv, session = tuple(process.cmdline()), os.getsid(pid)
                    found.append(Running(identity, argv, mark, session, _started_at(process)))
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue  # it has ended meanwhile, or belongs to another user
    return found


def runs_any(uid: int) -> bool:
    """Whether any process runs with the rights of this user."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.uids().effective == uid:
                return True
    return False


def _has_our_root(pid: int) -> bool:
    """Whether the process has our root directory. A process in a container has another one."""
    try:
        return sys.platform != "linux" or os.path.samefile(f"/proc/{pid}/root", "/")
    except OSError:
        return True  # the system does not tell


def means_the_same(path: str, pid: int) -> bool:
    """Whether the absolute `path` is the same file for the process as for us. It is not where the process has another
    mount there, as /tmp of a unit with PrivateTmp (systemd.exec(5)). For a file that no longer exists, the nearest
    existing folder decides."""
    if sys.platform != "linux":
        return True
    there = f"/proc/{pid}/root"
    try:
        if os.path.samestat(os.stat(f"/proc/{pid}/ns/mnt"), os.stat("/proc/self/ns/mnt")):
            return _has_our_root(pid)
        while path != "/" and not os.path.exists(path):
            path = os.path.dirname(path)
        return os.path.samefile(f"{there}{path}", path)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # the system does not tell


def _list_candidates() -> list[int]:
    """The processes to look at: all of them, or on Linux those that may have a mark, which is a hundred times
    faster."""
    if sys.platform != "linux":
        return psutil.pids()
    found = []
    for pid in psutil.pids():
        try:
            may_be = f"{MARK}=".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:
            may_be = True
        except OSError:
            may_be = False
        if may_be:
            found.append(pid)
    return found


def _read_mark(process: psutil.Process) -> str | None:
    """ "" for a process without a mark."""
    try:
        return process.environ().get(MARK, "")
    except psutil.AccessDenied:
        return None
