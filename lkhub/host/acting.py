"""Root at work on another user's files."""

import contextlib
import os
from collections.abc import Iterator

from lkhub.host.files import explain_os_errors


@contextlib.contextmanager
def acting_as_owner(folder: str) -> Iterator[None]:
    """As root, have the rights of the folder's owner for as long as the block runs: what is made there belongs to the
    owner, and a link that the owner has put there leads to nothing that the owner could not open. Other users keep
    their own rights."""
    with explain_os_errors(folder, "read"):
        owner = os.stat(folder)
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
