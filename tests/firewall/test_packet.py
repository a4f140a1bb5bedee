from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.firewall.packet import Fit, Packets
from lkhub.spec.ports import PortRange

ANYONE = Packets("udp", PortRange(7000, 7010), 4, (), ("eth0",))
LAN = Packets("udp", PortRange(7882, 7882), 4, (ip_network("192.168.1.0/24"),), ("eth0", "wlan0"))


@pytest.mark.parametrize(
    ("ports", "fit"),
    [((7000, 7010), Fit.ALL), ((1, 65535), Fit.ALL), ((7000, 7009), Fit.PART), ((1, 6999), Fit.NONE)],
)
def test_ports(ports: tuple[int, int], fit: Fit) -> None:
    assert ANYONE.fit_ports(PortRange(*ports)) == fit


@given(st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(sorted))
def test_ports_fit_as_their_numbers_do(ports: list[int]) -> None:
    taken = [port for port in range(7000, 7011) if ports[0] <= port <= ports[1]]
    expected = Fit.NONE if not taken else Fit.ALL if len(taken) == 11 else Fit.PART
    assert ANYONE.fit_ports(PortRange(*ports)) == expected


@pytest.mark.parametrize(
    ("packets", "network", "fit"),
    [
        (ANYONE, "0.0.0.0/0", Fit.ALL),
        (ANYONE, "203.0.113.0/24", Fit.FEW),
        (ANYONE, "::/0", Fit.NONE),
        (LAN, "192.168.0.0/16", Fit.ALL),
        (LAN, "192.168.1.7", Fit.FEW),
        (LAN, "10.0.0.0/8", Fit.NONE),
    ],
)
def test_sources(packets: Packets, network: str, fit: Fit) -> None:
    assert packets.fit_source(ip_network(network)) == fit


@pytest.mark.parametrize(
    ("pattern", "fit"), [("lo", Fit.NONE), ("eth0", Fit.PART), ("*", Fit.ALL), ("tun0", Fit.NONE), ("eth*", Fit.PART)]
)
def test_interfaces(pattern: str, fit: Fit) -> None:
    assert LAN.fit_interface(pattern) == fit


def test_an_unknown_interface_stays_unknown() -> None:
    unknown = Packets("udp", PortRange(1, 1), 4, (), ())
    assert unknown.fit_interface("eth0") == Fit.UNKNOWN
    assert unknown.fit_interface("lo") == Fit.NONE


@pytest.mark.parametrize("fit", Fit)
def test_what_is_not_a_few_may_be_all(fit: Fit) -> None:
    assert fit.negate() == {Fit.NONE: Fit.ALL, Fit.ALL: Fit.NONE, Fit.FEW: Fit.UNKNOWN}.get(fit, fit)
