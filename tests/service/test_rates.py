"""Windows that move with time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.service import rates
from lkhub.service.rates import Windows
from lkhub.wire.application import Rate


def test_as_many_as_the_rate_says_and_then_none_until_the_first_is_old() -> None:
    windows = Windows(Rate(3, 10))
    for now in (100.0, 101.0, 105.0):
        assert windows.find_wait("a", now) == 0
        windows.count("a", now)
    assert windows.find_wait("a", 105.0) == 5.0
    assert windows.find_wait("a", 109.75) == 0.25
    assert windows.find_wait("a", 110.0) == 0
    windows.count("a", 110.0)
    assert windows.find_wait("a", 110.0) == 1.0


def test_each_key_has_its_own_window() -> None:
    windows = Windows(Rate(1, 10))
    windows.count("a", 0.0)
    assert windows.find_wait("a", 1.0)
    assert not windows.find_wait("b", 1.0)


def test_no_rate_is_no_limit() -> None:
    windows = Windows(None)
    for _ in range(1000):
        windows.count("a", 0.0)
    assert windows.find_wait("a", 0.0) == 0


def test_request_that_is_refused_does_not_count() -> None:
    """Who asks again and again gets what the rate allows, and not nothing."""
    windows = Windows(Rate(1, 10))
    windows.count("a", 0.0)
    for now in range(10):
        assert windows.find_wait("a", float(now)) == 10.0 - now
    assert windows.find_wait("a", 10.0) == 0


@given(
    st.integers(1, 5),
    st.integers(1, 20),
    st.lists(st.integers(0, 32).map(lambda eighths: eighths / 8), max_size=60),
)
def test_no_window_ever_has_more_than_the_rate(times: int, seconds: int, pauses: list[float]) -> None:
    windows, now, passed = Windows(Rate(times, seconds)), 0.0, list[float]()
    for pause in pauses:
        now += pause
        wait = windows.find_wait("a", now)
        within = [at for at in passed if now - at < seconds]
        assert (wait > 0) == (len(within) >= times)
        if not wait:
            windows.count("a", now)
            passed.append(now)


def test_large_rates_are_counted_in_steps_and_never_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_TIMES", 10)
    windows, passed = Windows(Rate(105, 60)), 0
    while not windows.find_wait("a", passed / 1000):
        windows.count("a", passed / 1000)
        passed += 1
    assert 95 <= passed <= 105
    assert len(windows._windows["a"].times) <= 10
    assert windows.find_wait("a", passed / 1000) == pytest.approx(60, abs=0.2)


def test_windows_that_were_not_used_for_the_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_WINDOWS", 10)
    windows = Windows(Rate(60, 60))
    for now in range(50):
        windows.count(f"stranger-{now}", float(now))
        windows.count("busy", float(now))
    assert len(windows._windows) == 10
    assert len(windows._windows["busy"].times) == 50
