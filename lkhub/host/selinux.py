"""SELinux, where it decides what a service may run."""

from pathlib import Path

from lkhub.firewall.table import Command
from lkhub.host.commands import has_program, run_command

_ENFORCE = Path("/sys/fs/selinux/enforce")


def is_enforcing() -> bool:
    """Whether SELinux denies what its policy does not allow."""
    try:
        return _ENFORCE.read_text().strip() == "1"
    except OSError:
        return False


def restore_labels(folder: str) -> None:
    """Give what is in `folder` the labels of its place. A copy keeps those of where it comes from, and a service may
    not run files with the label of a home directory."""
    if is_enforcing() and has_program("restorecon"):
        run_command(Command(("restorecon", "-RF", folder)))
