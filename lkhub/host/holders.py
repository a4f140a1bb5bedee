"""Which process holds a port of this machine, and how to make it let go.

Never by killing a process that another program would start again.
"""

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import psutil

from lkhub.host.processes import leads_session_of, means_the_same
from lkhub.host.runs_in import read_cgroup
from lkhub.plan.model import Protocol
from lkhub.plan.paths import StatePaths
from lkhub.shown import printable
from lkhub.spec.address import Address

# Programs that have port 443 to serve web sites, and that can forward a hub's name to the hub.
_WEB_SERVERS = ("nginx", "angie", "openresty", "caddy", "apache2", "httpd", "haproxy", "traefik", "lighttpd", "envoy")

# The keys of the hub's own web ports.
_WEB_KEYS = ("tls.listen", "tls.http")


@dataclass(frozen=True)
class Holder:
    """A process that holds a port. `pid` None: the process is another user's, or can't be seen from here. `unit` is the
    systemd unit that it is part of, `user_unit` that our user's own systemd runs it, `container` the short id of a
    container, `hub` the state directory of the hub that it belongs to; "" for none."""

    pid: int | None = None
    name: str = ""
    unit: str = ""
    user_unit: bool = False
    container: str = ""
    hub: str = ""

    def __str__(self) -> str:
        if self.hub:
            return f"the hub in {self.hub} (pid {self.pid})"
        if self.pid is None:
            return "a process that this user can't see"
        where = f", {self.unit}" if self.unit else f", container {self.container}" if self.container else ""
        return f"{self.name} (pid {self.pid}{where})"


def find_holder(protocol: Protocol, address: Address | None, port: int) -> Holder:
    """The process that keeps us from binding a port at `address` (None: on any)."""
    pids = {pid for pid, ip, held in _list_waiting(protocol) if held == port and _is_in_the_way(ip, address)}
    return next((holder for pid in sorted(pids) if (holder := _describe(pid))), Holder())


def _list_waiting(protocol: Protocol) -> Iterator[tuple[int, str, int]]:
    """Pid, address and port of every listening socket."""
    # AccessDenied on macOS; OSError where /proc shows processes alone (ProcSubset=pid of systemd.exec(5)).
    with contextlib.suppress(psutil.AccessDenied, OSError):
        for connection in psutil.net_connections(protocol):
            waiting = protocol == "udp" or connection.status == psutil.CONN_LISTEN
            if waiting and connection.pid and connection.laddr:
                yield connection.pid, connection.laddr.ip, connection.laddr.port


def find_unit(pid: int) -> str:
    """The unit of the machine's systemd that a process is part of; "" for none."""
    unit, of_user, _ = read_cgroup(_read(f"/proc/{pid}/cgroup"))
    return "" if of_user else unit


def is_listening(pid: int, port: int) -> bool:
    """Whether a process, or another one of the session that it leads, listens on a TCP port. False where it can't be
    seen."""
    return _listens(pid, port) or any(_listens(other, port) for other in _list_session(pid))


def _list_session(pid: int) -> Iterator[int]:
    """The other processes of the session that `pid` leads."""
    return (other for other in psutil.pids() if other != pid and leads_session_of(pid, other))


def _listens(pid: int, port: int) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        held = psutil.Process(pid).net_connections("tcp")
        return any(each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port for each in held)
    return False


def _is_in_the_way(held: str, wanted: Address | None) -> bool:
    return wanted is None or ip_address(held).is_unspecified or held == str(wanted)


def _describe(pid: int) -> Holder | None:
    try:
        process = psutil.Process(pid)
        name, argv, uids = process.name(), process.cmdline(), process.uids()
    except (psutil.Error, OSError):
        return None
    unit, of_user, container = read_cgroup(_read(f"/proc/{pid}/cgroup"))
    if of_user and uids.effective != os.geteuid():
        unit, container = "", ""  # another user has chosen these names, and `systemctl --user` means our own units
    # Any user gives a process any name, also one with line feeds, or with what reads as a command in a hint.
    plain = printable(name).replace("`", "'")
    hub = _find_hub(pid, argv, {uids.real, uids.effective})
    return Holder(pid, plain, unit, of_user and unit != "", container, hub)


def _read(path: str) -> str:
    try:
        return os.fsdecode(Path(path).read_bytes())
    except OSError:
        return ""


def _find_hub(pid: int, argv: Sequence[str], uids: set[int]) -> str:
    """The state directory of the hub that this process belongs to: its arguments name a rendered file there, or it
    holds the lock. Any user can start a process with such arguments, or open a file of such a name: it is believed of
    root's and of the owner's of the directory."""
    roots = [root for argument in argv if (root := argument.partition("/rendered/")[0]) != argument]
    with contextlib.suppress(OSError):
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            target = os.readlink(descriptor.path)
            if target.endswith("/run/lock"):
                roots.append(target.removesuffix("/run/lock"))
    return next((root for root in roots if _is_hub_of(root, pid, uids)), "")


def _is_hub_of(root: str, pid: int, uids: set[int]) -> bool:
    """Whether a hub was up in this folder, and processes of all these users may belong to it."""
    if not (os.path.isabs(root) and root.isprintable()):
        return False
    applied = StatePaths(root).applied
    try:
        owner = os.stat(root).st_uid
    except OSError:
        return False
    return uids <= {0, owner} and os.path.exists(applied) and means_the_same(applied, pid)


def advise(held: Mapping[Holder, Iterable[str]]) -> tuple[str, ...]:
    """What to do about the holders of ports, given the ports' keys in the spec. Each holder, and each hub as a whole,
    is told about once. Pure."""
    merged: dict[Holder, list[str]] = {}
    for holder, keys in held.items():
        merged.setdefault(Holder(hub=holder.hub) if holder.hub else holder, []).extend(keys)
    return tuple(hint for holder, keys in merged.items() for hint in _advise(holder, tuple(dict.fromkeys(keys))))


def _advise(holder: Holder, keys: tuple[str, ...]) -> Iterator[str]:
    listed = ", ".join(keys)
    other = f"or give {listed} another port" if len(keys) == 1 else f"or give these keys other ports: {listed}"
    if holder.name in _WEB_SERVERS and not holder.hub and set(keys) & set(_WEB_KEYS):
        yield (
            f"keep {holder.name} in front: write domain: NAME and tls.mode: external, and "
            f"`lkhub render proxy -o proxy` writes what {holder.name} needs"
        )
    yield f"{_stop(holder)}; {other}"


def _stop(holder: Holder) -> str:
    """How to stop the holder."""
    if holder.hub:
        return f"`lkhub down --state {shlex.quote(holder.hub)}` stops that hub"
    if holder.pid is None:
        return "see whose it is as root: `sudo ss -lntup`"
    if holder.name == "tailscaled":
        return "`tailscale serve status` shows what Tailscale serves there, and `tailscale serve reset` ends all of it"
    if holder.name == "docker-proxy":
        return "a container has it: `docker ps` shows which, `docker stop NAME` stops it"
    if holder.container:
        return f"a container has it: `docker stop {holder.container}` stops it (or podman)"
    if holder.unit:
        command = "systemctl --user stop" if holder.user_unit else "sudo systemctl stop"
        return f"`{command} {shlex.quote(holder.unit)}` stops it"
    return f"stop {holder.name} in the way it was started (`ps -o ppid=,args= -p {holder.pid}` shows it)"
