"""Which program of this machine is at the other end of a connection over loopback, and whether it listens for other
machines.

Read from Linux's own tables (proc(5)); on other systems nothing is known. psutil could tell as much, and would stay in
the service's memory for as long as the hub runs.
"""

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from lkhub.shown import printable

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN = "0A"

# Accounts of services, which no person has (login.defs(5), UID_MIN).
_FIRST_PERSON = 1000

End = tuple[str, int]
"""Address and port of one end of a connection."""


@dataclass(frozen=True)
class Peer:
    """The program at the other end. Where it belongs to another user and can't be looked at, `pid` is None, and `name`
    and `listens` are empty. `listens` are the addresses and ports at which other machines reach it; `service`: its user
    is an account of a service."""

    user: str
    service: bool
    pid: int | None = None
    name: str = ""
    listens: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Socket:
    local: End
    remote: End
    state: str
    uid: int
    inode: str


def find_peer(ours: End, theirs: End) -> Peer | None:
    """The program that connected from `theirs` to `ours`; None where that is not known."""
    sockets = list(_list_sockets())
    asking = next((each for each in sockets if (each.local, each.remote) == (_plain(theirs), _plain(ours))), None)
    if asking is None:
        return None
    user, service = _user_name(asking.uid), 0 < asking.uid < _FIRST_PERSON and asking.uid != os.geteuid()
    pid = _find_holder(asking.inode)
    if pid is None:
        return Peer(user, service)
    held = _list_inodes(pid)
    listens = sorted(
        f"{f'[{host}]' if ':' in host else host}:{port}"
        for host, port in {each.local for each in sockets if each.state == _LISTEN and each.inode in held}
        if not ip_address(host).is_loopback
    )
    return Peer(user, service, pid, _read_name(pid), tuple(listens))


def _list_sockets() -> Iterator[_Socket]:
    for table in _TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            yield _Socket(_parse_end(words[1]), _parse_end(words[2]), words[3], int(words[7]), words[9])


def _parse_end(text: str) -> End:
    """`0100007F:1F90`: words of 32 bits as this machine has them in memory, and the port."""
    address, _, port = text.partition(":")
    packed = b"".join(int(address[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(address), 8))
    return _plain((str(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)), int(port, 16)))


def _plain(end: End) -> End:
    """An IPv4 address on an IPv6 socket as IPv4."""
    address = ip_address(end[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address), end[1]


def _find_holder(inode: str) -> int | None:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return next((pid for pid in pids if inode in _list_inodes(pid)), None)


def _list_inodes(pid: int) -> set[str]:
    """The sockets that a process holds; none where it has ended, or belongs to another user."""
    folder, targets = f"/proc/{pid}/fd", []
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):  # it was closed meanwhile
                targets.append(os.readlink(f"{folder}/{name}"))
    return {target[8:-1] for target in targets if target.startswith("socket:[")}


def _read_name(pid: int) -> str:
    try:
        # A program gives itself any bytes for a name.
        return printable(Path(f"/proc/{pid}/comm").read_bytes().removesuffix(b"\n").decode(errors="replace"))
    except OSError:
        return ""


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
