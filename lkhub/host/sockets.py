"""The TCP sockets of a process and of those that it has started."""

import contextlib
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import psutil


def list_local_addresses(pid: int | None) -> set[str]:
    """The addresses from which it is connected, as `127.0.0.1:40000`. Empty where it can't be seen."""
    own = (each.laddr for each in _list_sockets(pid) if each.laddr and each.raddr)
    return {f"{address.ip.removeprefix('::ffff:')}:{address.port}" for address in own}


def list_exposed(pid: int | None) -> set[int]:
    """The ports on which it listens at other addresses than loopback."""
    return {
        each.laddr.port
        for each in _list_sockets(pid)
        if each.status == psutil.CONN_LISTEN and each.laddr and not ip_address(each.laddr.ip).is_loopback
    }


def read_command(pid: int | None) -> tuple[str, ...]:
    """Its command line; empty where it can't be seen."""
    with contextlib.suppress(psutil.Error, OSError):
        return tuple(psutil.Process(pid).cmdline())
    return ()


def _list_sockets(pid: int | None) -> Iterator[Any]:  # psutil exports no name for their type
    with contextlib.suppress(psutil.Error, OSError):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                yield from process.net_connections("tcp")
