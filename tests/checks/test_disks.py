"""Disks that are nearly full."""

import pytest

from lkhub.checks.disks import check_disks
from lkhub.plan.host import Disk

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("free", "size", "is_low"),
    [
        (2 * GIB, 40 * GIB, False),
        (GIB, 40 * GIB, False),
        (GIB - 1, 40 * GIB, True),
        (0, 40 * GIB, True),
        (500 * MIB, 4 * GIB, False),
        (100 * MIB, 4 * GIB, True),
        (0, 0, False),
    ],
)
def test_disk_with_little_room_is_a_finding(free: int, size: int, is_low: bool) -> None:
    assert bool(list(check_disks((Disk("/srv/hub", free, size),)))) == is_low


def test_each_disk_is_named_with_its_folder() -> None:
    disks = (Disk("/srv/hub", 300 * MIB, 40 * GIB), Disk("/my agents", MIB, 40 * GIB), Disk("/x", 9 * GIB, 40 * GIB))
    first, second = check_disks(disks)
    assert (first.code, first.severity, first.subject) == ("disk-nearly-full", "warning", "/srv/hub")
    assert first.detail == "300 of 40,960 MiB are free"
    assert second.fix[0].command == "du -xh --max-depth=3 '/my agents' | sort -h | tail"
