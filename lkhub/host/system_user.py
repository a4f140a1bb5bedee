"""The user that a service of this machine runs as."""

import os
import pwd

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import run_command

# In the comment field of the password file, so that it is known for one that lkhub has made.
COMMENT = "LiveKit hub (lkhub)"

# A user that has no rights of its own, before the service's user is made (systemd and the kernel call it nobody).
_NOBODY = 65534


def ensure_system_user(name: str, home: str) -> bool:
    """Make a user without a login, with a group of the same name. Returns whether it was made. MachineError where
    the name belongs to a person."""
    try:
        known = pwd.getpwnam(name)
    except KeyError:
        nologin = next(filter(os.path.exists, ("/usr/sbin/nologin", "/sbin/nologin")), "/bin/false")
        options = ("--system", "--user-group", "--no-create-home", "--home-dir", home, "--shell", nologin)
        done = run_command(Command(("useradd", *options, "--comment", COMMENT, name)))
        if done.code != 0:
            raise MachineError(f"can't make the user {name}: {done.said}") from None
        return True
    if known.pw_uid == 0 or known.pw_shell.endswith("sh"):
        raise MachineError(
            f"{name} is a user of this machine who can log in, and the hub would run as that user",
            hints=("rename that user; the service needs this name",),
        )
    return False


def is_made_by_us(name: str) -> bool:
    """Whether `ensure_system_user` has made this user."""
    try:
        return pwd.getpwnam(name).pw_gecos == COMMENT
    except KeyError:
        return False


def can_read(name: str, path: str) -> bool:
    """Whether the user can read this file; for a user that is still to be made, whether every user can. Needs root."""
    try:
        known = pwd.getpwnam(name)
        rights = (f"--reuid={known.pw_uid}", f"--regid={known.pw_gid}", "--init-groups")
    except KeyError:
        rights = (f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    return run_command(Command(("setpriv", *rights, "test", "-r", path))).code == 0
