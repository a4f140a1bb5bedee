"""The TCP sockets of a process and of those that it has started."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import psutil

from lkhub.plan.agents import RUN_AGENT


@dataclass(frozen=True)
class Sockets:
    """`connected` are the addresses from which a process is connected, as `127.0.0.1:40000`; `exposed` are the ports on
    which it listens at every address, as the health check of a worker does by default. An agent in a call listens at
    single addresses too: ICE may connect it over TCP there. `listening` are its ports at any address."""

    connected: frozenset[str] = frozenset()
    exposed: frozenset[int] = frozenset()
    listening: frozenset[int] = frozenset()


def read_sockets(pid: int | None) -> Sockets:
    """Those of a process. Empty where it can't be seen."""
    found = [each for each in _list_sockets(pid) if each.laddr]
    own = (each.laddr for each in found if each.raddr)
    listening = [each.laddr for each in found if each.status == psutil.CONN_LISTEN]
    return Sockets(
        frozenset(map(_show, own)),
        frozenset(place.port for place in listening if ip_address(place.ip).is_unspecified),
        frozenset(place.port for place in listening),
    )


def find_connection(pid: int, port: int) -> str:
    """The address from which it is connected to this port of any address; "" if it is not. Where it has only started
    what is connected, as a shell has, that counts. What is nearest to it counts alone: the jobs of a worker, which it
    has started too, connect to the same port."""
    level = [pid]
    while level:
        below: list[int] = []
        for each in level:
            with contextlib.suppress(psutil.Error, OSError):
                process = psutil.Process(each)
                for found in process.net_connections("tcp"):
                    if found.status == psutil.CONN_ESTABLISHED and found.raddr and found.raddr.port == port:
                        return _show(found.laddr)
                below += [child.pid for child in process.children()]
        level = below
    return ""


def can_see(pid: int | None) -> bool:
    """Whether this user may see the sockets of this process. Linux alone keeps one user from another here."""
    folder = f"/proc/{pid}/fd"
    return not os.path.exists(folder) or os.access(folder, os.R_OK)


def read_command(pid: int | None) -> tuple[str, ...]:
    """Its command line; empty where it can't be seen."""
    if pid is None:  # to psutil that is this process
        return ()
    with contextlib.suppress(psutil.Error, OSError):
        return tuple(psutil.Process(pid).cmdline())
    return ()


def _show(address: Any) -> str:
    return f"{address.ip.removeprefix('::ffff:')}:{address.port}"


def is_installing(pid: int | None) -> bool:
    """Whether it is an agent that is still being installed: what installs it becomes the agent then."""
    return RUN_AGENT in read_command(pid)


def _list_sockets(pid: int | None) -> Iterator[Any]:  # psutil exports no name for their type
    if pid is None:
        return
    with contextlib.suppress(psutil.Error, OSError):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                yield from process.net_connections("tcp")
