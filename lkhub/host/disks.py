"""How much room the disks have on which a hub writes."""

import contextlib
import os
import shutil
from collections.abc import Iterable

from lkhub.plan.host import Disk


def look_at_disks(folders: Iterable[str]) -> tuple[Disk, ...]:
    """The disks of these folders, each once, by its first folder. A folder that is not there, or that this user may not
    enter, has none."""
    found: dict[int, Disk] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(folder)
            found.setdefault(os.stat(folder).st_dev, Disk(folder, usage.free, usage.total))
    return tuple(found.values())


# A process of the hub that starts writes less than this: certificates, databases, lines of its log.
_NEEDED_BYTES = 1 << 20


def describe_full(folder: str) -> str:
    """That the disk of a folder has no room, which may be why a process ended; "" where it has, or is not known."""
    for disk in look_at_disks((folder,)):
        if disk.free < _NEEDED_BYTES:
            return f"the disk of {folder} is full ({disk.free:,} bytes are free; `df -h` shows all disks)"
    return ""
