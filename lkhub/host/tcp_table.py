"""The TCP sockets that listen or are connected on this machine, as its kernel shows them to every user: without the
processes that have them, but with the user that opened each (/proc/net/tcp and tcp6 of proc(5)). In a container that
has a network of its own, they are those of that network."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeAlias

_TABLES = ("tcp", "tcp6")

# include/net/tcp_states.h
_ESTABLISHED, _LISTEN = "01", "0A"

Address: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Listening:
    """A socket that listens at an address of this machine; `everywhere`: at every address."""

    port: int
    uid: int
    loopback: bool = False
    everywhere: bool = False


def list_listening(folder: Path = Path("/proc/net")) -> tuple[Listening, ...]:
    """None are known outside Linux."""
    return tuple(
        Listening(port, uid, address.is_loopback, address.is_unspecified)
        for address, port, uid in _read(folder, _LISTEN)
    )


def list_connected(folder: Path = Path("/proc/net")) -> dict[str, int]:
    """The user of each connection, by the address that it comes from, as `127.0.0.1:40000`. None are known outside
    Linux."""
    return {f"{address}:{port}": uid for address, port, uid in _read(folder, _ESTABLISHED)}


def _read(folder: Path, wanted: str) -> Iterator[tuple[Address, int, int]]:
    """Own address, port and user of each socket in this state."""
    for name in _TABLES:
        with contextlib.suppress(OSError), (folder / name).open() as lines:
            next(lines, None)  # the names of the columns
            for _, local, _, state, _, _, _, uid, *_ in map(str.split, lines):
                if state == wanted:
                    digits, _, port = local.partition(":")
                    yield _decode(digits), int(port, 16), int(uid)


def _decode(digits: str) -> Address:
    """The kernel writes each four bytes as a number of this machine."""
    words = (int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8))
    packed = b"".join(words)
    if len(packed) == 4:
        return IPv4Address(packed)
    address = IPv6Address(packed)
    return address.ipv4_mapped or address
