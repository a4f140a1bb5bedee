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
