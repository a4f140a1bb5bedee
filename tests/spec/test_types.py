from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.types import (
    PortRange,
    parse_addresses,
    parse_host_port,
    parse_port,
    parse_port_or_off,
    parse_port_range,
    parse_stun,
)

PORTS = st.integers(1, 65535)
RANGES = st.tuples(PORTS, PORTS).map(lambda ends: PortRange(min(ends), max(ends)))


@given(RANGES)
def test_range_is_read_as_it_is_printed(ports: PortRange) -> None:
    assert parse_port_range(str(ports)) == ports


@given(RANGES, st.integers(0, 3), st.integers(0, 3))
def test_range_may_have_spaces_around_its_dash(ports: PortRange, before: int, after: int) -> None:
    assert parse_port_range(f" {ports.start}{' ' * before}-{' ' * after}{ports.end} ") == ports


@given(RANGES, RANGES)
def test_ranges_overlap_where_they_share_a_port(one: PortRange, other: PortRange) -> None:
    shared = max(one.start, other.start) <= min(one.end, other.end)
    assert one.overlaps(other) is other.overlaps(one) is shared


@given(RANGES, st.integers(-5, 70000))
def test_range_contains_its_ends_and_what_is_between(ports: PortRange, port: int) -> None:
    assert ports.start in ports
    assert ports.end in ports
    assert (port in ports) is (ports.start <= port <= ports.end)
    assert ports.__contains__(str(port)) is False


@given(PORTS)
def test_port_is_a_number_or_its_digits(port: int) -> None:
    assert parse_port(port) == parse_port(str(port)) == parse_port_or_off(port) == port
    assert parse_port_range(port) == PortRange(port, port)


@given(st.one_of(st.integers(max_value=0), st.integers(min_value=65536)))
def test_number_beyond_the_ports_is_refused_with_the_limits(number: int) -> None:
    for parse in (parse_port, parse_port_or_off, parse_port_range):
        with pytest.raises(ValueError, match="is not a port") as refused:
            parse(number)
        assert "1 to 65535" in str(refused.value)


JUNK = st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.binary(), st.lists(st.integers()), st.dates())


def refuse(parse: Callable[[Any], object], value: Any) -> str:
    """What `parse` says against the value; "" where it takes it."""
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return ""


@given(JUNK)
def test_anything_else_is_refused_in_few_words(value: Any) -> None:
    for parse in (parse_port, parse_port_or_off, parse_port_range, parse_addresses, parse_host_port, parse_stun):
        assert len(refuse(parse, value)) < 250


def test_very_large_number_is_refused_like_any_other() -> None:
    with pytest.raises(ValueError, match="not a port") as refused:
        parse_port(16**5000)
    assert "set_int_max_str_digits" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.0, "1.0 is not a port number"),
        (0.0, "0.0 is not a port number"),
        (True, "true is not a port number"),
        (False, "false is not a port number"),
        (None, "nothing is not a port number"),
        ([7882], "a list is not a port number"),
        ({"port": 1}, "a mapping is not a port number"),
        ("", " is not a port number"),
        ("x" * 100, "x" * 57 + "… is not a port number"),
    ],
    ids=str,
)
def test_fault_shows_the_value_as_it_was_written(value: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_port(value)
    assert str(refused.value) == said


def test_reversed_range_is_shown_the_right_way_round() -> None:
    with pytest.raises(ValueError, match="write 50000-60000"):
        parse_port_range("60000-50000")


def test_off_is_a_word_for_some_ports_alone() -> None:
    assert parse_port_or_off("off") == "off"
    for value in (False, "no", "Off", None):
        with pytest.raises(ValueError, match="write a port, or off"):
            parse_port_or_off(value)
    with pytest.raises(ValueError, match="off is not a port"):
        parse_port("off")


def test_addresses_are_auto_one_or_one_of_each_family() -> None:
    v4, v6 = ip_address("192.168.1.5"), ip_address("fd00::5")
    assert parse_addresses("auto") == "auto"
    assert parse_addresses("192.168.1.5") == (v4,)
    assert parse_addresses(["192.168.1.5", "fd00::5"]) == (v4, v6)
    assert parse_addresses((v6,)) == (v6,)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "the list is empty"),
        (["192.168.1.5", "192.168.1.6"], "one address of each family"),
        (["192.168.1.5", "192.168.1.5"], "one address of each family"),
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


def test_stun_is_own_or_a_list_that_names_somebody() -> None:
    assert parse_stun("own") == "own"
    assert parse_stun(["a:1", "b:2"]) == ("a:1", "b:2")
    wrong: tuple[Any, ...] = ([], None, "stun.example.com:3478", {})
    for value in wrong:
        with pytest.raises(ValueError, match="write own, or a list"):
            parse_stun(value)
