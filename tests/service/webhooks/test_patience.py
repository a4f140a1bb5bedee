import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.service.webhooks.patience import (
    DEAD_AFTER_SECONDS,
    LONGEST_PAUSE_SECONDS,
    bound_seconds,
    choose_pause,
    is_dead,
)


def test_pauses_grow_to_five_minutes() -> None:
    assert [choose_pause(attempts, luck=0) for attempts in (1, 2, 3, 4, 9, 10, 1000)] == [1, 2, 4, 8, 256, 300, 300]


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_pause_is_half_of_it_at_least(attempts: int, luck: float) -> None:
    longest = choose_pause(attempts, luck=0)
    assert longest / 2 <= choose_pause(attempts, luck) <= longest <= LONGEST_PAUSE_SECONDS


def test_what_failed_together_is_not_tried_again_together() -> None:
    assert len({choose_pause(5) for _ in range(50)}) > 40


@pytest.mark.parametrize(
    ("attempts", "seconds", "takes_others", "dead"),
    [
        (1, 0, False, False),
        (300, DEAD_AFTER_SECONDS - 1, False, False),
        (300, DEAD_AFTER_SECONDS, False, True),
        (1, DEAD_AFTER_SECONDS + 1, False, False),  # the clock jumped, or the service was away: it is tried once more
        (2, DEAD_AFTER_SECONDS + 1, False, True),
        (8, 599, True, False),
        (7, 600, True, False),
        (8, 600, True, True),
        (8, 600, False, False),
    ],
)
def test_when_an_event_is_given_up(attempts: int, seconds: float, takes_others: bool, dead: bool) -> None:
    assert is_dead(attempts, seconds, takes_others) is dead


def test_attempts_take_no_longer_than_their_pauses_and_answers() -> None:
    assert bound_seconds(0, 10) == 0
    for attempts in (1, 3, 9, 10, 11, 300):
        slept = sum(choose_pause(number, 0) for number in range(1, attempts + 1))
        assert bound_seconds(attempts, 10) == slept + 10 * attempts
