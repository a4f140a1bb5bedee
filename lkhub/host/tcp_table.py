"""The TCP sockets that listen on this machine, as its kernel shows them to every user: without the processes that have
them, but with the user that opened each (/proc/net/tcp and tcp6 of proc(5)). In a container that has a network of its
own, they are those of that network."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_TABLES = ("tcp", "tcp6")

# include/net/tcp_states.h
_LISTEN = "0A"


@dataclass(frozen=True)
class Listening:
    """A socket that listens at an address of this machine; `everywhere`: at every address."""

    port: int
    uid: int
    loopback: bool = False
    everywhere: bool = False


def list_listening(folder: Path = Path("/proc/net")) -> tuple[Listening, ...]:
    """None are known outside Linux."""
    return tuple(each for name in _TABLES for each in _read(folder / name))


def _read(table: Path) -> Iterator[Listening]:
    with contextlib.suppress(OSError), table.open() as lines:
        next(lines, None)  # the names of the columns
        for _, local, _, state, _, _, _, uid, *_ in map(str.split, lines):
            if state == _LISTEN:
                digits, _, port = local.partition(":")
                address = _decode(digits)
                known = getattr(address, "ipv4_mapped", None) or address
                yield Listening(int(port, 16), int(uid), known.is_loopback, known.is_unspecified)


def _decode(digits: str) -> IPv4Address | IPv6Address:
    """The kernel writes each four bytes as a number of this machine."""
    words = (int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))
    address = b"".join(words)
    return IPv4Address(address) if len(address) == 4 else IPv6Address(address)
