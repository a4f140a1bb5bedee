"""Facts of the machine that a hub runs on which no plan depends on. Gathered by `lkhub.host`, judged by
`lkhub.checks`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KernelLimits:
    """The kernel's limits for the hub's processes; None where a limit is not known. Buffers are in bytes. `open_files`
    is how many descriptors a process may have, `connections` how many entries the connection tracking table has, now
    and at most."""

    receive_buffer: int | None = None
    send_buffer: int | None = None
    open_files: int | None = None
    connections: int | None = None
    connections_max: int | None = None


@dataclass(frozen=True)
class Disk:
    """How many bytes are free on the disk with a folder, and how many it has."""

    folder: str
    free: int
    size: int


@dataclass(frozen=True)
class RunsIn:
    """What started the hub, since that decides where its limits are set: the systemd `unit` that it is part of, whether
    a user's own systemd runs that unit (`user_unit`), whether the hub runs in a `container`, and whether its user
    `is_root`. With neither unit nor container, the hub was started from a shell or by an unknown program. `logged_in`
    is the user whose own systemd runs the unit and ends with the last login; "" where there is none such. `no_systemd`:
    this is a machine with Linux, and systemd does not run it."""

    unit: str = ""
    user_unit: bool = False
    container: bool = False
    is_root: bool = True
    logged_in: str = ""
    no_systemd: bool = False
