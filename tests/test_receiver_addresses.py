"""Where the service sends no event, whatever a name leads to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.receiver_addresses import find_refused

NEVER = [
    *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "ff02::1"),
    *("255.255.255.255", "240.0.0.1", "0.1.2.3", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    *("192.0.2.1", "198.18.0.1", "2001:db8::1", "64:ff9b:1::1", "100::1"),
    *("192.0.0.192", "192.0.0.8", "fec0::1", "::127.0.0.1", "::a9fe:a9fe", "::ffff:0:127.0.0.1", "4000::1"),
]
PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("100.64.0.1", "100.127.255.255", "fc00::1", "fd7a:115c:a1e0::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"),
    *("2002:7f00:1::", "64:ff9b::7f00:1"),
]
PUBLIC = ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", NEVER)
def test_no_receiver_is_there(address: str) -> None:
    for allow_private in (False, True):
        assert "is no address of a receiver" in find_refused([address], allow_private=allow_private)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_receiver_has_to_be_allowed(address: str) -> None:
    assert "allow_private" in find_refused([address], allow_private=False)
    assert find_refused([address], allow_private=True) == ""


@pytest.mark.parametrize("address", PUBLIC)
def test_public_receiver_is_reached(address: str) -> None:
    assert find_refused([address], allow_private=False) == ""


@pytest.mark.parametrize("address", [*NEVER, *PRIVATE])
def test_one_address_among_others_is_enough(address: str) -> None:
    assert find_refused([*PUBLIC, address, "8.8.8.8"], allow_private=False)


@given(st.ip_addresses())
def test_whatever_is_allowed_as_private_is_no_other_kind(address: object) -> None:
    """`allow_private` widens what is reached, and never to link-local, multicast or reserved addresses."""
    text = str(address)
    if not find_refused([text], allow_private=False):
        assert not find_refused([text], allow_private=True)
