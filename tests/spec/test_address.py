"""Addresses, networks and STUN servers."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.address import AskStun, parse_addresses, parse_host_port, parse_network, parse_networks, parse_stun
from tests.spec.refusing import refuse


def test_addresses_are_auto_one_or_several() -> None:
    v4, v6 = ip_address("192.168.1.5"), ip_address("fd00::5")
    assert parse_addresses("auto") == "auto"
    assert parse_addresses("192.168.1.5") == (v4,)
    assert parse_addresses(["192.168.1.5", "fd00::5"]) == (v4, v6)
    assert parse_addresses(["192.168.1.5", "10.0.0.9"]) == (v4, ip_address("10.0.0.9"))
    assert parse_addresses((v6,)) == (v6,)


@pytest.mark.parametrize("server", ["stun.example.com:3478", "192.0.2.1:1", "[2001:db8::1]:65535"])
def test_address_may_be_what_a_stun_server_says(server: str) -> None:
    asked = parse_addresses({"stun": server})
    assert asked == AskStun(server)
    assert isinstance(asked, AskStun), "a tuple of one address is something else"
    assert parse_addresses(asked) is asked


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"stun": "stun.example.com"}, "stun.example.com is not host:port"),
        ({"stun": "stun.example.com:0"}, "0 is not a port"),
        ({"stun": None}, "nothing is not host:port"),
        ({"stun": ["a:1"]}, "a list is not host:port"),
        ({"stun": "a:1", "turn": "b:2"}, "write auto, an IP address, or {stun: host:port}"),
        ({"stnu": "a:1"}, "write auto, an IP address, or {stun: host:port}"),
        ({}, "write auto, an IP address, or {stun: host:port}"),
        ([{"stun": "a:1"}], "a mapping is not an IP address"),
    ],
    ids=str,
)
def test_wrong_stun_server_says_the_form(value: Any, said: str) -> None:
    assert said in refuse(parse_addresses, value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "the list is empty"),
        (["192.168.1.5", "192.168.1.5"], "an address stands there twice"),
        (["::1", "0:0::1"], "an address stands there twice"),
        (["x", "x", "y"], "^x is not an IP address; write [^;]*; y is not an IP address; write [^;]*$"),
        (["a", "b", "c", "d"], "; …$"),
        ("0.0.0.0", "not an address that a client can send to"),
        ("::", "not an address that a client can send to"),
        ("224.0.0.1", "not an address that a client can send to"),
        ("192.168.1.5/24", "is not an IP address"),
        ("localhost", "is not an IP address"),
        (3232235781, "3232235781 is not an IP address"),
        (1, "^1 is not an IP address"),
        (True, "true is not an IP address"),
        (["auto"], "auto is not an IP address"),
        ([["192.168.1.5"]], "a list is not an IP address"),
    ],
    ids=str,
)
def test_wrong_address_says_what_is_wrong(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_addresses(value)


def test_host_port_keeps_what_was_written() -> None:
    for text in ("stun.example.com:3478", "192.0.2.1:1", "[2001:db8::1]:65535"):
        assert parse_host_port(text) == text


@pytest.mark.parametrize(
    "value", ["stun.example.com", "stun.example.com:0", "stun:stun.example.com:3478", "2001:db8::1:3478", "a b:1", 3478]
)
def test_wrong_host_port_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_host_port(value)


def test_stun_is_own_or_a_list_of_servers() -> None:
    assert parse_stun("own") == "own"
    assert parse_stun(["a:1", "b:2"]) == ("a:1", "b:2")
    wrong: tuple[Any, ...] = ([], None, "stun.example.com:3478", {})
    for value in wrong:
        with pytest.raises(ValueError, match="write own, or a list"):
            parse_stun(value)


V4_NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda n: IPv4Network(n, strict=False))
V6_NETWORKS = (
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128))
    .map(lambda n: IPv6Network(n, strict=False))
    .filter(lambda network: not network.network_address.ipv4_mapped)
)


@given(st.lists(V4_NETWORKS | V6_NETWORKS, max_size=4))
def test_networks_are_read_as_they_are_printed(networks: list[IPv4Network | IPv6Network]) -> None:
    assert parse_networks([str(network) for network in networks]) == parse_networks(networks) == tuple(networks)


def test_network_may_be_an_address_or_have_bits_too_many() -> None:
    assert parse_network("10.0.0.1") == IPv4Network("10.0.0.1/32")
    assert parse_network("10.1.2.3/8") == IPv4Network("10.0.0.0/8")
    assert parse_network("fd00::5/64") == IPv6Network("fd00::/64")
    assert parse_networks([]) == ()


@given(V4_NETWORKS)
def test_network_of_ipv4_written_within_ipv6_is_that_of_ipv4(network: IPv4Network) -> None:
    within = f"::ffff:{network.network_address}/{96 + network.prefixlen}"
    assert parse_network(within) == parse_network(IPv6Network(within)) == network


def test_network_that_holds_more_than_ipv4_stays() -> None:
    assert parse_network("::ffff:0:0/95") == IPv6Network("::fffe:0:0/95")
    assert parse_network("::ffff:10.0.0.1") == IPv4Network("10.0.0.1/32")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("10.0.0.0/8", "is not a list; write \\[10.0.0.0/8\\]"),
        (None, "nothing is not a list"),
        ({"a": 1}, "a mapping is not a list"),
        (["10.0.0.0/33"], "10.0.0.0/33 is not a network such as 10.0.0.0/8, nor an address"),
        (["proxy.example.com"], "is not a network"),
        ([10], "10 is not a network"),
        (["a", "b", "c"], "; …$"),
    ],
    ids=str,
)
def test_wrong_networks_say_what_is_wrong(value: Any, said: str) -> None:
    assert re.search(said, refuse(parse_networks, value))
