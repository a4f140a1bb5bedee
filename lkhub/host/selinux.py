"""SELinux, where it decides what a service may run."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lkhub.firewall.table import Command
from lkhub.host.commands import has_program, run_command

_SELINUX = Path("/sys/fs/selinux")

# systemd's own label: it reads links and runs programs before a service has the label that it runs with.
_SYSTEMD = Path("/proc/1/attr/current")

_LABEL = "security.selinux"


# AVD_FLAGS_PERMISSIVE of the kernel (security/selinux/include/security.h): what it denies systemd is noted alone.
_PERMISSIVE = 1

# As the kernel follows at most (path_resolution(7)).
_MOST_LINKS = 40


def is_enforcing() -> bool:
    """Whether SELinux denies what its policy does not allow."""
    try:
        return (_SELINUX / "enforce").read_text().strip() == "1"
    except OSError:
        return False


def restore_labels(folder: str) -> None:
    """Give what is in `folder` the labels of its place. A copy keeps those of where it comes from, and a service may
    not run files with the label of a home directory."""
    if is_enforcing() and has_program("restorecon"):
        run_command(Command(("restorecon", "-RF", folder)))


def find_denied(program: str, *links: str) -> list[tuple[str, str]]:
    """What SELinux keeps systemd from, of the links that lead to a program and of the program: each path with its
    label. Empty where it denies nothing, and where that can't be known."""
    if not is_enforcing():
        return []
    wanted = [(link, "lnk_file", "read") for each in (*links, program) for link in _list_links(each)]
    wanted.append((os.path.realpath(program), "file", "execute"))
    found = []
    for path, kind, right in wanted:
        with contextlib.suppress(OSError, ValueError, IndexError):
            label = os.getxattr(path, _LABEL, follow_symlinks=False).decode().rstrip("\0")
            if not _is_allowed(label, kind, right):
                found.append((path, label))
    return found


def _list_links(path: str) -> Iterator[str]:
    """The links at the end of a path, one after the other."""
    for _ in range(_MOST_LINKS):
        if not os.path.islink(path):
            break
        yield path
        path = os.path.join(os.path.dirname(path), os.readlink(path))


def _is_allowed(label: str, kind: str, right: str) -> bool:
    """Ask the policy that is loaded (security_compute_av of libselinux). Raises OSError."""
    who = _SYSTEMD.read_text().rstrip("\0\n")
    of_kind = _SELINUX / "class" / kind
    number, bit = int((of_kind / "index").read_text()), int((of_kind / "perms" / right).read_text())
    asked = os.open(_SELINUX / "access", os.O_RDWR)
    try:
        os.write(asked, f"{who} {label} {number}".encode())
        allowed, _, _, _, _, flags = os.read(asked, 256).split()
    finally:
        os.close(asked)
    return bool(int(allowed, 16) >> (bit - 1) & 1 or int(flags, 16) & _PERMISSIVE)
