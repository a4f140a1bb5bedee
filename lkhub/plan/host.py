"""Facts of the machine that a hub runs on which no plan depends on. Gathered by `lkhub.host`, judged by
`lkhub.checks`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KernelLimits:
    """What holds for the hub's processes; None where it is not known. Buffers in bytes, `open_files` descriptors of one
    process, `connections` entries of the connection tracking table, now and at most."""

    receive_buffer: int | None = None
    send_buffer: int | None = None
    open_files: int | None = None
    connections: int | None = None
    connections_max: int | None = None


@dataclass(frozen=True)
class RunsIn:
    """What started the hub, as far as it decides where limits are set: the systemd `unit` that it is part of, whether
    that is a user's own (`user_unit`), whether it runs in a `container`, whether its user `is_root`. With neither unit
    nor container it was started from a shell, or by something that is not known."""

    unit: str = ""
    user_unit: bool = False
    container: bool = False
    is_root: bool = True
