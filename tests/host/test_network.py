import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import psutil
import pytest

from lkhub.host import network
from lkhub.host.network import gather_network, judge_interface, list_interfaces
from lkhub.plan.network import Interface, InterfaceKind

LAN = (ip_address("192.168.1.5"),)


@pytest.fixture
def sys_net(tmp_path: Path) -> Path:
    """/sys/class/net of a machine with one of each."""
    for name in ("eth0", "wlan0", "enp3s0", "docker0", "veth1", "br-9f", "virbr0", "cni0", "wwan0", "bond0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "type").write_text("1\n")
    for name in ("eth0", "wlan0", "enp3s0", "wwan0"):
        (tmp_path / name / "device").mkdir()
    return tmp_path


def make_bridge(sys_net: Path, name: str, *ports: str) -> None:
    (sys_net / name / "bridge").mkdir(parents=True)
    (sys_net / name / "brif").mkdir()
    for port in ports:
        (sys_net / name / "brif" / port).mkdir()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("eth0", "lan"), ("wlan0", "lan"), ("enp3s0", "lan"), ("wwan0", "lan"), ("bond0", "lan"), ("new0", "lan")),
        *(("docker0", "container"), ("veth1", "container"), ("br-9f", "container"), ("cni0", "container")),
        *(
            ("tailscale0", "vpn"),
            ("wg0", "vpn"),
            ("tun3", "vpn"),
            ("zt7nnig26", "vpn"),
            ("ppp0", "vpn"),
            ("utun4", "vpn"),
        ),
    ],
)
def test_name_decides_where_the_kernel_says_nothing(sys_net: Path, name: str, kind: InterfaceKind) -> None:
    assert judge_interface(name, LAN, sys_net) == kind


def test_loopback_is_known_by_its_address_whatever_its_name(sys_net: Path) -> None:
    assert judge_interface("eth0", (ip_address("127.0.0.1"),), sys_net) == "loopback"
    assert judge_interface("lo0", (ip_address("::1"), ip_address("fe80::1")), sys_net) == "loopback"


@pytest.mark.parametrize("name", ["docker0", "br-9f", "virbr0", "incusbr0"])
def test_bridge_between_virtual_machines_is_a_bridge(sys_net: Path, name: str) -> None:
    make_bridge(sys_net, name, "veth1")
    assert judge_interface(name, LAN, sys_net) == "bridge"


def test_bridge_without_a_card_whose_name_says_nothing_may_be_anything(sys_net: Path) -> None:
    make_bridge(sys_net, "br0")
    make_bridge(sys_net, "vmbr1", "veth1")
    assert judge_interface("br0", LAN, sys_net) == judge_interface("vmbr1", LAN, sys_net) == "cardless"


def stack(sys_net: Path, name: str, *lower: str) -> None:
    """An interface on top of others, as /sys shows a bond or a VLAN."""
    (sys_net / name).mkdir(exist_ok=True)
    for below in lower:
        (sys_net / name / f"lower_{below}").symlink_to(sys_net / below)


@pytest.mark.parametrize("port", ["bond0", "eth0.20", "bond0.20", "eth0.20.30"])
def test_bridge_over_a_bond_or_a_vlan_of_a_card_is_the_lan(sys_net: Path, port: str) -> None:
    stack(sys_net, "bond0", "eth0", "enp3s0")
    stack(sys_net, "eth0.20", "eth0")
    stack(sys_net, "bond0.20", "bond0")
    stack(sys_net, "eth0.20.30", "eth0.20")
    make_bridge(sys_net, "vmbr0", "veth1", port)
    assert judge_interface("vmbr0", LAN, sys_net) == "lan"


def test_stack_that_bites_its_tail_has_no_card(sys_net: Path) -> None:
    """Interfaces may change between two looks."""
    stack(sys_net, "dummy0", "dummy1")
    stack(sys_net, "dummy1", "dummy0", "gone0")
    make_bridge(sys_net, "br0", "dummy0", "gone1")
    assert judge_interface("br0", LAN, sys_net) == "cardless"


@pytest.mark.parametrize("name", ["vmbr0", "br0", "br-lan"])
def test_bridge_over_a_network_card_is_the_lan(sys_net: Path, name: str) -> None:
    """Proxmox and routers have their address on one."""
    make_bridge(sys_net, name, "veth1", "eth0")
    assert judge_interface(name, LAN, sys_net) == "lan"


def test_tunnel_is_a_vpn_whatever_its_name(sys_net: Path) -> None:
    (sys_net / "office").mkdir()
    (sys_net / "office" / "tun_flags").write_text("0x1001\n")
    assert judge_interface("office", LAN, sys_net) == "vpn"


def test_interface_without_a_link_layer_is_a_vpn(sys_net: Path) -> None:
    (sys_net / "home").mkdir()
    (sys_net / "home" / "type").write_text("65534\n")
    assert judge_interface("home", LAN, sys_net) == "vpn"


def test_mac_bridges_are_no_lan_on_a_mac_and_a_lan_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert judge_interface("bridge100", LAN, tmp_path) == "lan"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert judge_interface("bridge100", LAN, tmp_path) == "bridge"
    assert judge_interface("awdl0", LAN, tmp_path) == "bridge"
    assert judge_interface("en0", LAN, tmp_path) == "lan"


class Entry(NamedTuple):
    """A row of psutil.net_if_addrs."""

    family: int
    address: str
    netmask: str | None = None


@pytest.mark.parametrize(
    ("entry", "network"),
    [
        (Entry(socket.AF_INET, "192.168.1.5", "255.255.255.0"), "192.168.1.0/24"),
        (Entry(socket.AF_INET, "10.9.0.1", "255.0.0.0"), "10.0.0.0/8"),
        (Entry(socket.AF_INET, "100.64.0.7", "255.255.255.255"), "100.64.0.7/32"),
        (Entry(socket.AF_INET6, "fd00::5", "ffff:ffff:ffff:ffff::"), "fd00::/64"),
        (Entry(socket.AF_INET6, "fe80::5%eth0", "ffff:ffff:ffff:ffff::"), "fe80::/64"),
        (Entry(socket.AF_INET6, "2600::4", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "2600::4/128"),
        (Entry(socket.AF_INET, "192.168.1.5", None), None),
        (Entry(psutil.AF_LINK, "00:11:22:33:44:55", None), None),
    ],
)
def test_network_of_an_address_is_what_its_mask_says(
    monkeypatch: pytest.MonkeyPatch, entry: Entry, network: str | None
) -> None:
    rows = [Entry(socket.AF_INET, "203.0.113.9"), entry]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth7": rows})
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {"eth7": SimpleNamespace(isup=True)})
    [found] = list_interfaces()
    assert [str(each) for each in found.networks] == ([network] if network else [])
    assert all(found.network_of(address) for address in found.addresses[1:]) or network is None


def test_machine_whose_proc_shows_processes_alone_has_its_interfaces(
    monkeypatch: pytest.MonkeyPatch, sys_net: Path
) -> None:
    """ProcSubset=pid of systemd: psutil finds no /proc/net/dev."""

    def refuse() -> None:
        raise FileNotFoundError("/proc/net/dev")

    for name, state in (("lo", "unknown"), ("eth0", "up"), ("wlan0", "down")):
        (sys_net / name).mkdir(exist_ok=True)
        (sys_net / name / "operstate").write_text(f"{state}\n")
    rows = {"lo": "127.0.0.1", "eth0": "192.168.1.5", "wlan0": "192.168.1.6"}
    monkeypatch.setattr(network, "_SYS_NET", sys_net)
    monkeypatch.setattr(psutil, "net_if_stats", refuse)
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {n: [Entry(socket.AF_INET, a)] for n, a in rows.items()})
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(rows, 1)))
    assert {found.name for found in list_interfaces()} == {"lo", "eth0"}


ROUTES_V4 = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0
eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0
eth0 0001A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0
gone0 00000000 0101A8C0 0003 0 0 50 00000000 0 0 0
down0 00000000 0101A8C0 0002 0 0 1 00000000 0 0 0
"""
ROUTES_V6 = f"""\
{"0" * 32} 00 {"0" * 32} 00 fe80{"0" * 28} 00000400 00000001 00000000 00000003 wg0
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} ffffffff 00000001 00000000 00200200 lo
fe80{"0" * 28} 40 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001 eth1
"""


def test_default_routes_come_by_their_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what is down, refused, a network's own, or of an interface without an address."""
    for name, text in (("_ROUTES_V4", ROUTES_V4), ("_ROUTES_V6", ROUTES_V6)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(network, name, tmp_path / name)
    names = ("lo", "eth0", "eth1", "wlan0", "wg0", "down0")
    interfaces = tuple(Interface(name, "lan", ()) for name in names)
    monkeypatch.setattr(network, "_SOMEWHERE", ())  # the kernel is not asked which it would take
    assert network._gather_default_routes(interfaces) == ("eth0", "wlan0", "wg0")


def test_network_of_this_machine_is_gathered() -> None:
    facts = gather_network()
    names = [interface.name for interface in facts.interfaces]
    assert set(names) <= set(psutil.net_if_addrs())
    assert set(facts.default_routes) <= set(names)
    here = facts.interface_of(ip_address("127.0.0.1"))
    assert here is not None
    assert (here.kind, here.name) == ("loopback", facts.loopback())
    assert ip_address("127.0.0.1") in here.networks[0]
