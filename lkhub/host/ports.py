"""Ports of this machine: which are free, and which processes hold the others."""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable

from lkhub.errors import MachineError
from lkhub.host.holders import Holder, advise, find_holder
from lkhub.plan.model import Listener, Protocol
from lkhub.plan.process import ProcessPlan
from lkhub.source.path import dotted

# linux/capability.h
_CAP_NET_BIND_SERVICE, _VFS_CAP_EFFECTIVE = 10, 0x000001

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def require_free_ports(
    listeners: Iterable[Listener],
    processes: Iterable[ProcessPlan] = (),
    *,
    but: Callable[[Listener, int | None], bool] | None = None,
) -> None:
    """Raise MachineError naming every port that can't be bound, on a line each, with its holder, and saying what to do.

    `processes` are those that will bind them: a program of the engine may have rights that this process lacks. Ranges
    are left out, since their users take the ports that are free. A taken port is skipped if `but` is true for its
    listener and the pid of its holder, None for one that can't be seen.
    """
    engines = {process.name: process.argv[0] for process in processes if process.engine}
    problems: list[str] = []
    hints: list[str] = []
    held: dict[Holder, list[str]] = {}
    taken: set[tuple[Protocol, int]] = set()
    for listener in listeners:
        if listener.ports.start != listener.ports.end:
            continue
        port = listener.ports.start
        key = dotted(listener.key)
        what = f"{listener.protocol} port {port} ({listener.purpose})"
        match _try_bind(listener, port):
            # A port may have listeners on several addresses, but is reported once.
            case errno.EADDRINUSE if (listener.protocol, port) not in taken:
                taken.add((listener.protocol, port))
                holder = find_holder(listener.protocol, listener.address, port)
                if but is not None and but(listener, holder.pid):
                    continue
                problems.append(f"{what} is in use by {holder}")
                held.setdefault(holder, []).append(key)
            case errno.EACCES:
                engine = engines.get(listener.process)
                if engine and may_bind_low_ports(engine):
                    continue
                problems.append(f"{what} is below 1024 and this is not root")
                allow = f"`sudo setcap cap_net_bind_service=+ep {engine}` allows it, or " if engine else ""
                hints.append(f"{allow}give {key} a port from 1024 on")
            case errno.EADDRNOTAVAIL:
                problems.append(f"{listener.address} is no longer an address of this machine")
                hints.append("run it again; media.advertise: auto follows the machine's address")
    if problems:
        message = "\n".join(dict.fromkeys(problems))
        raise MachineError(message, hints=tuple(dict.fromkeys((*hints, *advise(held)))))


def may_bind_low_ports(program: str) -> bool:
    """Whether the file capability cap_net_bind_service is set on a program (linux/capability.h, vfs_cap_data)."""
    try:
        data = os.getxattr(program, "security.capability")
    except (OSError, AttributeError):  # none, or not Linux
        return False
    magic, permitted = struct.unpack_from("<II", data)
    return bool(magic & _VFS_CAP_EFFECTIVE and permitted & (1 << _CAP_NET_BIND_SERVICE))


def _try_bind(listener: Listener, port: int) -> int:
    """0, or the errno of the failure."""
    address = "" if listener.address is None else str(listener.address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, _KINDS[listener.protocol]) as probe:
        if listener.protocol == "tcp":
            # As Go and uvicorn do, so that lingering connections of the last run are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            if listener.protocol == "tcp":
                probe.listen()
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return 0
