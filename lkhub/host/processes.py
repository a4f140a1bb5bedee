"""Processes that outlive us: started apart from our terminal, known again by pid and start time."""

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

# The variable that a process of a hub has in its environment, and no program of somebody else's.
MARK = "LKHUB_PROCESS"

# livekit-server reads these over its configuration file (cmd/server/main.go): what a shell happens to hold
# must not change the hub. NOTIFY_SOCKET is the supervisor's own: Caddy would speak to systemd in its name.
_KEPT_BACK = ("LIVEKIT_", "NODE_IP", "UDP_PORT", "REDIS_HOST", "REDIS_PASSWORD", "NOTIFY_SOCKET", MARK)


@dataclass(frozen=True)
class ProcessId:
    """One process for certain: the system gives its pid to another one day, but not its start time.

    `started` is a text that only equality is defined for.
    """

    pid: int
    started: str


def identify(pid: int) -> ProcessId | None:
    """The process that runs as `pid` now; None where there is none, or a zombie alone."""
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
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _started_at(process: psutil.Process) -> float:
    """In epoch seconds."""
    if sys.platform != "linux":
        return process.create_time()
    # psutil asks /proc/stat when the machine was started, which is not there with ProcSubset=pid (systemd.exec(5)).
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + _read_start_ticks(process.pid) / os.sysconf("SC_CLK_TCK")


def _is_same(process: ProcessId) -> bool:
    """Whether the pid is still that process, a zombie included. Raises OSError where we can't look, as without a free
    descriptor: one that is taken for gone is started a second time."""
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


def is_alive(process: ProcessId) -> bool:
    return identify(process.pid) == process


def leads_session_of(leader: int, pid: int) -> bool:
    """Whether `pid` belongs to the session that `leader` leads: a script leads that of the programs it has started."""
    try:
        return os.getsid(pid) == leader
    except (OSError, OverflowError):  # it is gone, or no pid
        return False


def read_state(pid: int) -> str:
    """What the process is doing in psutil's words (`sleeping`, `stopped`, …); "" where that can't be told."""
    try:
        return str(psutil.Process(pid).status())
    except (psutil.Error, OSError):
        return ""


def is_stopped(process: ProcessId) -> bool:
    """Whether a signal (SIGSTOP, Ctrl-Z, a debugger) keeps it from going on."""
    return read_state(process.pid) in ("stopped", "tracing-stop") and is_alive(process)


def forget_variables(names: Iterable[str]) -> None:
    """Take variables out of our own environment, and so out of that of all that we start from now on.

    What the system shows of us (/proc/PID/environ, to this user and root) stays as it was when we were started.
    """
    for name in names:
        os.environ.pop(name, None)


def child_environ() -> dict[str, str]:
    """Our own environment without what livekit-server and Caddy would obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_BACK)}


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

    A file, not a pipe: the process must not die of a reader that is gone, and a terminal's Ctrl-C is for
    lkhub alone. `inherited` file descriptors keep their numbers in the process. It runs in `folder`, as `user` ("": in
    ours, as ours). Raises MachineError.
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
        what = error.filename if error.filename == folder else argv[0]  # of both it may be the one that is not there
        raise MachineError(f"can't start {what}: {(error.strerror or str(error)).lower()}") from error
    finally:
        os.close(handle)


@dataclass(frozen=True)
class _Rights:
    """As which user a process runs; None: as ours. `environ` is what a program learns of that user there."""

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
    """Return when the process has ended, whoever its parent is, and has let go of its ports.

    A zombie may not have: it is one as soon as its first thread has ended, while others still hold its
    sockets. A pidfd tells when all have ended (pidfd_open(2)).
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
        # We may be stopped for minutes between a look and a signal, and the pid be somebody else's by then. A pidfd
        # stays with the process that had it when it was opened.
        descriptor = os.pidfd_open(process.pid)
        try:
            if _is_same(process):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class Running:
    """A process of this user's. `mark` is the value of its variable MARK, None where its environment can't be read;
    `session` the pid of its session's first process, `since` its start in epoch seconds."""

    process: ProcessId
    argv: tuple[str, ...]
    mark: str | None
    session: int
    since: float


def list_running() -> list[Running]:
    """This user's processes that have a mark, or of which the system does not tell whether they do. Not those of other
    users: anybody can give a process of their own a mark of ours."""
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
            continue  # it has ended meanwhile, or is none of ours
    return found


def _has_our_root(pid: int) -> bool:
    """Whether it has our root directory. In a container that this machine runs it has not."""
    try:
        return sys.platform != "linux" or os.path.samefile(f"/proc/{pid}/root", "/")
    except OSError:
        return True  # the system does not tell


def means_the_same(path: str, pid: int) -> bool:
    """Whether the absolute `path` is the same file for the process as for us. Under another mount it is not, as in
    /tmp of a unit with PrivateTmp (systemd.exec(5)). Of one that is gone the nearest folder that is there tells."""
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
    """The processes to look at: all, or on Linux, which tells it a hundred times sooner, those that may have a mark."""
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
    """ "" where it has none."""
    try:
        return process.environ().get(MARK, "")
    except psutil.AccessDenied:
        return None


def find_holder_of_removed(path: str) -> ProcessId | None:
    """The Python program of this user's that holds the file `path` open though it was removed; None where there is
    none, or where the system does not tell."""
    return _find_python_with({f"{path} (deleted)"}, path)


# __SO_ACCEPTCON of linux/net.h.
_LISTENS = 0x10000


def find_listener(path: str) -> ProcessId | None:
    """The Python program of this user's that listens on a Unix socket which it has bound at `path`, wherever that file
    is by now; None where there is none, or where the system does not tell."""
    try:
        # Num, RefCount, Protocol, Flags, Type, St, Inode, Path (proc_pid_net(5)).
        rows = [line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text().splitlines()]
    except OSError:  # none, or ProcSubset=pid of systemd.exec(5)
        return None
    sockets = {f"socket:[{row[6]}]" for row in rows[1:] if row[7:] == [path] and int(row[3], 16) & _LISTENS}
    return _find_python_with(sockets, path) if sockets else None


def _find_python_with(targets: set[str], path: str) -> ProcessId | None:
    """The Python program that has one of these open, and for which `path` is what it is for us."""
    for exe in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if "python" not in os.path.basename(os.readlink(exe)) or int(exe.parent.name) == os.getpid():
                continue
            folder = exe.with_name("fd")
            has_one = any(os.readlink(folder / descriptor) in targets for descriptor in os.listdir(folder))
            if has_one and means_the_same(path, int(exe.parent.name)):
                return identify(int(exe.parent.name))
    return None
