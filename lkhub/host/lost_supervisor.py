"""Finds the supervisor of a state directory that was removed, moved or replaced, by what it has open."""

import contextlib
import os
from collections import Counter
from pathlib import Path
from pwd import getpwnam

from lkhub.host.processes import ProcessId, identify, means_the_same
from lkhub.plan.service import USER


def find_holder_of_removed(path: str) -> ProcessId | None:
    """The Python program that holds the removed lock `path` open; None where there is none, or where the system does
    not tell."""
    return _find_python_with({f"{path} (deleted)"}, path)


# __SO_ACCEPTCON of linux/net.h.
_LISTENS = "00010000"


def find_listener(path: str) -> ProcessId | None:
    """The Python program that listens on a Unix socket that was bound at `path`, wherever that file is now; None where
    there is none, or where the system does not tell."""
    try:
        table = os.fsdecode(Path("/proc/net/unix").read_bytes())
    except OSError:  # none, or ProcSubset=pid of systemd.exec(5)
        return None
    # Num, RefCount, Protocol, Flags, Type, St, Inode, Path (proc_pid_net(5)). Any user may name a socket by any bytes,
    # also by a line feed and a row about another socket, which has two rows then: neither is believed.
    rows = [row for line in table.split("\n") if len(row := line.split(maxsplit=7)) >= 7]
    times = Counter(row[6] for row in rows)
    inodes = [row[6] for row in rows if row[7:] == [path] and row[3] == _LISTENS and times[row[6]] == 1]
    return _find_python_with({f"socket:[{inode}]" for inode in inodes}, path) if inodes else None


def _find_python_with(targets: set[str], path: str) -> ProcessId | None:
    """The Python program that has one of these files or sockets open, and for which `path` is the same file as for us.
    It is one of a user who may have a supervisor there, since any user can make up what leads to a program; or it holds
    the removed lock beside `path`, which only a user of that state directory could open."""
    owners, lock = _list_owners(path), f"{os.path.dirname(path)}/lock (deleted)"
    for exe in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            process = exe.parent
            if "python" not in os.path.basename(os.readlink(exe)) or int(process.name) == os.getpid():
                continue
            descriptors, user = [*(process / "fd").iterdir()], os.stat(process).st_uid
            if user not in owners and not any(_is_removed(each, lock) for each in descriptors):
                continue
            has_one = any(_is_one(each, targets, {*owners, user}) for each in descriptors)
            if has_one and means_the_same(path, int(process.name)):
                return identify(int(process.name))
    return None


def _list_owners(path: str) -> set[int]:
    """The users that may have a supervisor whose socket or lock is at this path, two levels below its hub."""
    owners = {0, os.geteuid()}
    with contextlib.suppress(OSError):  # it was removed
        owners.add(os.stat(os.path.dirname(os.path.dirname(path))).st_uid)
    with contextlib.suppress(KeyError):  # no hub is a service here
        owners.add(getpwnam(USER).pw_uid)
    return owners


def _is_removed(descriptor: Path, lock: str) -> bool:
    """Whether an open descriptor is the removed file `lock`, of a file system that is mounted for us too. Any user may
    have another folder at the same path, in mounts of its own."""
    if _read_target(descriptor) != lock:
        return False
    # proc_pid_fdinfo(5), and proc_pid_mountinfo(5).
    mount = (descriptor.parent.with_name("fdinfo") / descriptor.name).read_text().partition("mnt_id:")[2].split()[0]
    return mount in {line.split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def _is_one(descriptor: Path, targets: set[str], owners: set[int]) -> bool:
    """Whether an open descriptor is one of these files or sockets, and one of these users has made it."""
    target = _read_target(descriptor)
    if target not in targets or os.stat(descriptor).st_uid not in owners:
        return False
    return not target.startswith("socket:") or _is_listed(descriptor)


def _read_target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:  # closed meanwhile
        return ""


def _is_listed(descriptor: Path) -> bool:
    """Whether an open socket is one that /proc/net/unix has: a Unix socket, of our network. A user may have made up a
    row with the number of another one."""
    kind = os.getxattr(descriptor, "system.sockprotoname")
    return kind.startswith(b"UNIX") and os.path.samefile(descriptor.parent.with_name("ns") / "net", "/proc/self/ns/net")
