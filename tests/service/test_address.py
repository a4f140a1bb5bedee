"""Where a request came from, as far as it can be known."""

from dataclasses import replace

import pytest
from starlette.requests import Request

from lkhub.service.address import find_address, find_client
from lkhub.wire.serve_config import ServeConfig


def request(client: str, forwarded: str = "") -> Request:
    headers = [(b"x-forwarded-for", forwarded.encode("latin-1"))] if forwarded else []
    return Request({"type": "http", "client": (client, 50000), "headers": headers})


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("", "127.0.0.1"),
        ("nonsense", "127.0.0.1"),
        ("198.51.100.7, 10.0.0.1", "127.0.0.1"),
        ("\x1b[2J\nroot", "127.0.0.1"),
    ],
    ids=ascii,
)
def test_edge_says_where_the_client_is(config: ServeConfig, forwarded: str, address: str) -> None:
    behind = replace(config, authorities=("rtc.example.com",))
    assert find_address(request("127.0.0.1", forwarded), behind) == address


def test_client_itself_is_not_believed(config: ServeConfig) -> None:
    assert find_address(request("192.168.1.77", "198.51.100.7"), config) == "192.168.1.77"


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_network_of_ipv6_counts_as_one_client(config: ServeConfig, address: str, client: str) -> None:
    assert find_client(request(address), config) == client
