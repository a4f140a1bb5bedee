import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.bandwidth.rate import describe_rate, parse_rate


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("40M", 40_000_000),
        ("1G", 10**9),
        ("2.5G", 2_500_000_000),
        ("50k", 50_000),
        ("100Mbit/s", 10**8),
        ("9 Mbit", 9_000_000),
    ],
)
def test_rate_is_read(text: str, bits: int) -> None:
    assert parse_rate(text) == bits


@pytest.mark.parametrize(
    "text",
    ["", "40", "M", "-1M", "0M", "0.0000001k", "1MB/s", "1m", "1T", "1e3M", "١M", "1M\n", "9999999G", "nanM"],
    ids=ascii,
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bits per second"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0, "0 kbit/s"),
        (50_000, "50 kbit/s"),
        (999_499, "999 kbit/s"),
        (999_500, "1 Mbit/s"),
        (1_797_440, "1.8 Mbit/s"),
        (999_999_999, "1 Gbit/s"),
        (4_600_000_000, "4.6 Gbit/s"),
        (12_345_678_000_000, "12,300 Gbit/s"),
        (5 * 10**21, "5,000,000,000,000 Gbit/s"),
    ],
)
def test_rate_as_text(bits: int, text: str) -> None:
    assert describe_rate(bits) == text


@given(st.integers(1000, 10**12))
def test_text_is_near_the_number(bits: int) -> None:
    number, unit = describe_rate(bits).split(" ")
    assert float(number.replace(",", "")) * {"k": 10**3, "M": 10**6, "G": 10**9}[unit[0]] == pytest.approx(
        bits, rel=0.006
    )
