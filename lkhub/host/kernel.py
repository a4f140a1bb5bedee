"""The kernel's limits that a busy hub may reach, and the kernel's files that media must be able to read."""

import re
import sys
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.plan.host import KernelLimits


def require_load_figures(proc: Path = Path("/proc")) -> None:
    """Raise MachineError where LiveKit can't read the load of this machine, without which it does not start."""
    if sys.platform == "linux" and not (proc / "stat").exists():
        raise MachineError(
            f"LiveKit can't read how busy this machine is: {proc}/stat is hidden, as it is where {proc} shows "
            "processes alone",
            hints=(
                "in a systemd unit of lkhub, take ProcSubset=pid out (`systemctl edit --full UNIT`); "
                f"in a container, mount {proc} without subset=pid",
            ),
        )


def read_limits(pid: int, proc: Path = Path("/proc")) -> KernelLimits:
    """The limits that hold for the process `pid`. A limit that can't be read (another system, no conntrack) is None."""
    return KernelLimits(
        receive_buffer=_read_number(proc / "sys/net/core/rmem_max"),
        send_buffer=_read_number(proc / "sys/net/core/wmem_max"),
        open_files=_read_open_files(proc / str(pid) / "limits"),
        connections=_read_number(proc / "sys/net/netfilter/nf_conntrack_count"),
        connections_max=_read_number(proc / "sys/net/netfilter/nf_conntrack_max"),
    )


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _read_open_files(path: Path) -> int | None:
    """The hard limit, to which Go raises its own (os/rlimit.go). proc(5) has a column for each limit."""
    try:
        found = re.search(r"^Max open files\s+\S+\s+(\d+)", path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None
