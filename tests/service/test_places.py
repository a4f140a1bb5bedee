"""One client of the service leaves as many connections free as it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.service.places import Places, burst_for, client_of, files_for, places_for


def fill(places: Places, client: str) -> int:
    got = 0
    while places.enter(client):
        got += 1
    return got


@pytest.mark.parametrize("total", [1, 2, 24, 896, 4096])
def test_one_client_alone_gets_half_and_each_after_it_half_of_what_is_left(total: int) -> None:
    places = Places(total, total)
    left = total
    for number in range(5):
        got = fill(places, f"192.0.2.{number}")
        assert got == (left + 1) // 2
        left -= got


def test_caps_and_what_comes_back() -> None:
    places = Places(100, 3)
    assert fill(places, "192.0.2.1") == 3
    assert fill(places, "127.0.0.1") == 97, "the edge speaks for many"
    assert not places.enter("192.0.2.2")
    for _ in range(97):
        places.leave("127.0.0.1")
    assert (places.held("127.0.0.1"), places.enter("192.0.2.2"), places.enter("192.0.2.1")) == (0, True, False)


def test_one_site_gets_half_however_many_networks_it_has() -> None:
    places = Places(100, 30)
    got = [fill(places, client_of(f"2001:db8:1:{network:x}::1")) for network in range(256)]
    assert got[:3] == [30, 20, 0]
    assert sum(got) == 50
    assert fill(places, client_of("2001:db8:2::1")) == 25, "another site"
    assert fill(places, "192.0.2.1") == 13
    places.leave(client_of("2001:db8:1::1"))
    assert not places.enter(client_of("2001:db8:1:9::1")), "less is free than the site has"
    for network, held in enumerate(got[:2]):
        for _ in range(held - (network == 0)):
            places.leave(client_of(f"2001:db8:1:{network:x}::1"))
    assert places.enter(client_of("2001:db8:1:9::1"))


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_clients_are_counted_by_address_or_network(address: str, client: str) -> None:
    assert client_of(address) == client
    assert Places(2, 1).enter(client)


@given(st.integers(0, 1 << 62))
def test_places_never_need_more_files_than_there_are(files: int) -> None:
    places = places_for(files, 4096)
    assert 1 <= places <= 4096
    assert 2 * places + burst_for(files) <= max(files, 3)
    if files >= files_for(4096):
        assert places == 4096
