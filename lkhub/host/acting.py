"""Root at work on another user's files."""

import contextlib
import os
from collections.abc import Iterator

import lkhub
from lkhub.errors import MachineError
from lkhub.host.files import explain_os_errors, user_name
from lkhub.plan.service import COMMAND


@contextlib.contextmanager
def acting_as_owner(folder: str) -> Iterator[None]:
    """As root, have the rights of the folder's owner for as long as the block runs: what is made there belongs to the
    owner, and a link that the owner has put there leads to nothing that the owner could not open. Other users keep
    their own rights, and so does root where the folder is not there yet."""
    with explain_os_errors(folder, "read"):
        owner = os.stat(folder) if os.path.exists(folder) else None
    if os.geteuid() != 0 or owner is None or owner.st_uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        _require_own_code(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _require_own_code(uid: int) -> None:
    """Raise MachineError where this user could not import what is still to be imported."""
    for module in (lkhub.__file__, os.__file__):
        try:
            os.stat(module)
        except PermissionError:
            user, place = user_name(uid), os.path.dirname(module)
            raise MachineError(
                f"the files belong to {user}, and {user} can't read this lkhub in {place}",
                hints=(f"`{COMMAND}` is the one that the service runs, where `lkhub install` has put it",),
            ) from None
