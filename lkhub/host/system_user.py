"""The user that a service of this machine runs as."""

import grp
import os
import pwd

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import run_command
from lkhub.plan.service import HIDDEN

# In the comment field of the password file, so that it is known for one that lkhub has made.
COMMENT = "LiveKit hub (lkhub)"

# A user that has no rights of its own, before the service's user is made (systemd and the kernel call it nobody).
_NOBODY = 65534


def describe_useradd(name: str, home: str) -> str:
    """The command that makes a user without a login, with a group of the same name."""
    return str(_useradd(name, home))


def check_system_user(name: str) -> None:
    """Raise MachineError where the name belongs to a person, or to a user without a group of its own."""
    known = _find_user(name)
    if known is None:
        return
    if known.pw_uid == 0 or known.pw_shell.endswith("sh"):
        raise MachineError(
            f"{name} is a user of this machine who can log in, and the hub would run as that user",
            hints=(f"rename that user, or take its login: `usermod --shell {_find_nologin()} {name}`",),
        )
    _require_own_group(name, known.pw_gid)


def _require_own_group(name: str, gid: int) -> None:
    group = _find_group(name)
    if group and group.gr_gid == gid:
        return
    raise MachineError(
        f"the user {name} has no group of that name as its own, and the spec would be readable by another group",
        hints=(f"`groupadd --system {name}; usermod --gid {name} {name}`",),
    )


def ensure_system_user(name: str, home: str) -> bool:
    """Make the user where there is none. Returns whether it was made. Raises MachineError."""
    check_system_user(name)
    if has_user(name):
        return False
    done = run_command(_useradd(name, home))
    if done.code != 0:
        raise MachineError(f"can't make the user {name}: {done.said}")
    return True


def has_user(name: str) -> bool:
    """Whether this machine knows the user."""
    return _find_user(name) is not None


def find_group(name: str) -> int:
    """The number of the user's own group."""
    return pwd.getpwnam(name).pw_gid


def find_ids(name: str) -> tuple[int, int]:
    """The numbers of the user and of its own group."""
    user = pwd.getpwnam(name)
    return user.pw_uid, user.pw_gid


def _find_user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _find_group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def _useradd(name: str, home: str) -> Command:
    group = ("--gid", name) if _find_group(name) else ("--user-group",)
    options = ("--system", *group, "--no-create-home", "--home-dir", home, "--shell", _find_nologin())
    return Command(("useradd", *options, "--comment", COMMENT, name))


def _find_nologin() -> str:
    return next(filter(os.path.exists, ("/usr/sbin/nologin", "/sbin/nologin")), "/bin/false")


def is_made_by_us(name: str) -> bool:
    """Whether `ensure_system_user` has made this user."""
    known = _find_user(name)
    return known is not None and known.pw_gecos == COMMENT


def can_read(name: str, path: str) -> bool:
    """Whether the service's user can read this file, or what is in this folder; for a user that is still to be made,
    whether every user can. Needs root."""
    return _may(name, path, "-r") and (not os.path.isdir(path) or _may(name, path, "-x"))


def can_execute(name: str, path: str) -> bool:
    """The same for starting this program, or going through this folder."""
    return _may(name, path, "-x")


def _may(name: str, path: str, test: str) -> bool:
    if f"{os.path.realpath(path)}/".startswith(HIDDEN):
        return False
    rights = (f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    if known := _find_user(name):
        rights = (f"--reuid={known.pw_uid}", f"--regid={known.pw_gid}", "--init-groups")
    return run_command(Command(("setpriv", *rights, "test", test, path))).code == 0
