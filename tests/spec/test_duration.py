import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.duration import Duration, parse_drain, parse_duration


@given(st.integers(0, 999_999), st.sampled_from("smhd"))
def test_duration_is_the_same_in_every_unit(number: int, unit: str) -> None:
    parsed = parse_duration(f"{number}{unit}")
    assert parsed == number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert parse_duration(parsed) == parsed
    assert int(str(parsed)[:-1]) <= max(number, 0)


@given(st.integers(0, 999_999))
def test_text_of_a_duration_is_read_as_the_same_one(seconds: int) -> None:
    assert parse_duration(str(Duration(seconds))) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (1, "1s"), (90, "90s"), (120, "2m"), (3600, "1h"), (86400, "1d"), (3601, "3601s")]
)
def test_duration_is_shown_in_its_largest_unit(seconds: int, text: str) -> None:
    assert f"{Duration(seconds)}" == text


WRONG: tuple[object, ...] = (
    "",
    "s",
    "30",
    30,
    30.0,
    True,
    None,
    [],
    "-1s",
    "1.5h",
    "30 s",
    " 30s",
    "30S",
    "1y",
    "1h30m",
    "1234567890s",
    "٣s",
)


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_what_is_no_duration_is_told_how_to_write_one(value: object) -> None:
    with pytest.raises(ValueError, match="write a number and a unit: 90s, 30m, 6h, 30d"):
        parse_duration(value)


def test_drain_is_bounded_by_what_a_stop_can_wait() -> None:
    assert parse_drain("0s") == 0
    assert parse_drain("7d") == parse_drain("168h") == 7 * 86400
    for value in ("8d", "604801s", "999999d"):
        with pytest.raises(ValueError, match=f"{value} is over 7d"):
            parse_drain(value)
