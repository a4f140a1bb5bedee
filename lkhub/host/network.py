"""The network that this machine is in."""

import socket
import sys
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import psutil

from lkhub.plan.network import Interface, InterfaceKind, NetworkFacts
from lkhub.spec.address import Address, Network

# Names that these programs give their interfaces. What the kernel says (below) comes first; names decide where the
# kernel says nothing, as on macOS.
_CONTAINER_NAMES = (
    *("docker", "br-", "veth", "virbr", "vnet", "vboxnet", "vmnet", "lxc", "lxd", "incus", "podman"),
    *("cni", "flannel", "cali", "cilium", "kube", "nodelocaldns", "vxlan"),
)
_VPN_NAMES = ("tailscale", "wg", "tun", "tap", "utun", "zt", "ppp", "nebula", "nordlynx", "proton")
# macOS: peer-to-peer Wi-Fi, its low-latency twin, tunnels and internet sharing.
_MAC_INTERNAL_NAMES = ("awdl", "llw", "gif", "stf", "anpi", "ap1", "bridge")

_SYS_NET = Path("/sys/class/net")
_ARPHRD_NONE = "65534"  # linux/if_arp.h: no link layer, as WireGuard and tun have

# /proc/net is a link to this, which is there also where /proc shows processes alone.
_ROUTES_V4, _ROUTES_V6 = Path("/proc/self/net/route"), Path("/proc/self/net/ipv6_route")
_RTF_UP, _RTF_REJECT = 0x1, 0x200  # linux/route.h

# Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, it only asks the kernel for the
# route.
_SOMEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def gather_network() -> NetworkFacts:
    """The facts of this network that a plan needs. Nothing is looked up yet: see `lkhub.host.lookup`."""
    interfaces = list_interfaces()
    return NetworkFacts(interfaces, _gather_default_routes(interfaces))


def list_interfaces() -> tuple[Interface, ...]:
    """The network interfaces that are up and carry an address."""
    up = _list_up()
    found = []
    for name, entries in psutil.net_if_addrs().items():
        addresses = tuple(
            ip_address(entry.address.partition("%")[0])
            for entry in entries
            if entry.family in (socket.AF_INET, socket.AF_INET6)
        )
        if name in up and addresses:
            found.append(Interface(name, judge_interface(name, addresses), addresses, _list_networks(entries)))
    return tuple(found)


def _list_up() -> set[str]:
    try:
        return {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    except FileNotFoundError:
        # /proc shows processes alone (ProcSubset=pid of systemd.exec(5)). "unknown" is what loopback and tunnels say.
        names = [name for _, name in socket.if_nameindex()]
        return {name for name in names if _read(_SYS_NET / name / "operstate") in ("up", "unknown")}


def _list_networks(entries: Iterable[Any]) -> tuple[Network, ...]:
    found = []
    for entry in entries:
        if entry.family in (socket.AF_INET, socket.AF_INET6) and entry.netmask:
            # IPv6 masks are written as addresses, which ipaddress does not read.
            length = int(ip_address(entry.netmask)).bit_count()
            found.append(ip_network(f"{entry.address.partition('%')[0]}/{length}", strict=False))
    return tuple(found)


def judge_interface(name: str, addresses: tuple[Address, ...], sys_net: Path = _SYS_NET) -> InterfaceKind:
    """The kind of an interface, by what the kernel says about it, else by its name."""
    if any(address.is_loopback for address in addresses):
        return "loopback"
    folder = sys_net / name
    if (folder / "bridge").is_dir():
        # A bridge over a real network card (Proxmox, a router) is the LAN itself.
        if _is_over_a_card(name, sys_net):
            return "lan"
        return "bridge" if name.startswith(_CONTAINER_NAMES) else "cardless"
    if (folder / "tun_flags").exists() or _read(folder / "type") == _ARPHRD_NONE or name.startswith(_VPN_NAMES):
        return "vpn"
    if name.startswith(_CONTAINER_NAMES):
        return "container"
    if sys.platform == "darwin" and name.startswith(_MAC_INTERNAL_NAMES):
        return "bridge"
    return "lan"


def _is_over_a_card(name: str, sys_net: Path) -> bool:
    """Whether a network card is below an interface, at whatever depth: below its ports, a bond or a VLAN."""
    waiting, seen = [name], set()
    while waiting:
        found = waiting.pop()
        if found in seen:
            continue
        seen.add(found)
        if (sys_net / found / "device").exists():
            return True
        # The kernel links what an interface is stacked on as lower_NAME (net/core/dev.c), and a bridge's ports in brif.
        waiting += [link.name.removeprefix("lower_") for link in (sys_net / found).glob("lower_*")]
        waiting += [port.name for port in (sys_net / found / "brif").glob("*")]
    return False


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _gather_default_routes(interfaces: tuple[Interface, ...]) -> tuple[str, ...]:
    """Interfaces with a default route: first the one that the kernel would use, then the others by metric.

    The others matter where a VPN has the first.
    """
    names: list[str] = []
    for family, somewhere in _SOMEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((somewhere, 9))
                source = ip_address(probe.getsockname()[0])
        except OSError:
            continue
        names += [interface.name for interface in interfaces if source in interface.addresses]
    listed = {*_list_routes_v4(_read(_ROUTES_V4)), *_list_routes_v6(_read(_ROUTES_V6))}
    known = {interface.name for interface in interfaces}
    return tuple(dict.fromkeys([*names, *(name for _, name in sorted(listed) if name in known)]))


def _list_routes_v4(table: str) -> Iterator[tuple[int, str]]:
    """Metric and interface of each default route in the form of /proc/net/route (net/ipv4/fib_trie.c)."""
    for row in (line.split() for line in table.splitlines()[1:]):
        name, destination, flags, metric, mask = row[0], row[1], int(row[3], 16), int(row[6]), row[7]
        if destination == mask == "00000000" and flags & _RTF_UP:
            yield metric, name


def _list_routes_v6(table: str) -> Iterator[tuple[int, str]]:
    """The same in the form of /proc/net/ipv6_route (net/ipv6/route.c)."""
    for row in (line.split() for line in table.splitlines()):
        destination, length, metric, flags, name = row[0], row[1], int(row[5], 16), int(row[8], 16), row[9]
        if destination == "0" * 32 and length == "00" and not flags & _RTF_REJECT:
            yield metric, name
