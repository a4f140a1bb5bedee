"""The users that other people's code runs as where the hub is root: one for each agent, and one for each build."""

import zlib

# Numbers for users that no tool gives to an account: those of systemd end at 65,535, those of containers at
# 1,879,048,191 (systemd's UIDS-GIDS.md).
FIRST_UID, UIDS = 2_000_000_000, 100_000_000

# For a container of an ordinary user, which has the numbers below 65,536: accounts are counted up from 1000, and
# systemd's own users begin at 60,001.
FIRST_LOW_UID, LOW_UIDS = 50_000, 10_000


def choose_killer(uid: int) -> int:
    """A user that no code can have, for the process that kills those of `uid`. It also kills those of its own user, so
    each has one of its own; but for low numbers, of which there are too few."""
    return FIRST_LOW_UID + LOW_UIDS if uid < FIRST_UID else uid - UIDS


def choose_uid(folder: str, *, low: bool = False) -> int:
    """The user, and the group, of the code that is kept in this folder: always the same. `low`: this machine has no
    users with high numbers."""
    first, count = (FIRST_LOW_UID, LOW_UIDS) if low else (FIRST_UID, UIDS)
    return first + zlib.crc32(folder.encode()) % count
