"""A finding about a disk that is nearly full. Pure."""

import shlex
from collections.abc import Iterable, Iterator

from lkhub.findings.catalogue.hub import disk_nearly_full
from lkhub.findings.finding import Finding, Fix
from lkhub.plan.host import Disk

# An upgrade, or the dependencies of an agent, may need this much. A small disk may never have it free.
LOW_BYTES, LOW_SHARE = 1 << 30, 0.05


def check_disks(disks: Iterable[Disk]) -> Iterator[Finding]:
    """A finding for each disk that is nearly full."""
    for disk in disks:
        if disk.free < min(LOW_BYTES, LOW_SHARE * disk.size):
            what = f"du -xh --max-depth=3 {shlex.quote(disk.folder)} | sort -h | tail"
            yield disk_nearly_full(disk.folder).about(
                disk.folder,
                detail=f"{disk.free >> 20:,} of {disk.size >> 20:,} MiB are free",
                fix=(Fix("see whether it is this folder that takes the room", what), Fix("see all disks", "df -h")),
            )
