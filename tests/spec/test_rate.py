import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.rate import Rate, parse_rate


@given(st.integers(1, 999_999_999), st.sampled_from([1, 60, 3600]))
def test_what_a_rate_shows_is_the_same_rate(times: int, seconds: int) -> None:
    assert parse_rate(str(Rate(times, seconds))) == Rate(times, seconds)


def test_off_is_no_rate_whatever_yaml_makes_of_it() -> None:
    assert parse_rate("off") == parse_rate(False) == "off"


@pytest.mark.parametrize("value", [0, 20, "20", "0/second", "20/day", "-1/second", "1.5/second", None, ["1/second"]])
def test_anything_else_is_refused_with_the_form(value: object) -> None:
    with pytest.raises(ValueError, match="is not a rate; write a number and a time, such as 20/second"):
        parse_rate(value)
