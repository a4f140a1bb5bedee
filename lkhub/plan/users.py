"""The users that other people's code runs as where the hub is root: one for each agent, and one for each build."""

import zlib

# Numbers for users that no tool gives to an account: those of systemd end at 65,535, those of containers at
# 1,879,048,191 (systemd's UIDS-GIDS.md).
FIRST_UID, UIDS = 2_000_000_000, 100_000_000


def choose_uid(folder: str) -> int:
    """The user, and the group, of the code that is kept in this folder: always the same."""
    return FIRST_UID + zlib.crc32(folder.encode()) % UIDS
