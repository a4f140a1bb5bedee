"""The advisory locks of PostgreSQL, together: of two uses with one number, each would wait for the other's end."""

from enum import IntEnum, unique


@unique
class Lock(IntEnum):
    """What one process does at a time, on all machines that share a database. Other programs may use the database too,
    so the numbers are none that they are likely to choose."""

    UPGRADE = 5566015
    LEAD_WEBHOOKS = 5566016
    ORDER_OF_EVENTS = 5566017
    LEAD_PRESETS = 5566018
