"""Ports, and ranges of ports."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.ports import PortRange, parse_port, parse_port_or_off, parse_port_range

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
        ("", "an empty text is not a port number"),
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
