import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.supervise.backoff import FORGIVE_SECONDS, Backoff
from lkhub.supervise.timings import USUAL


def make_backoff() -> Backoff:
    return Backoff(USUAL.restart_first, USUAL.restart_ceiling)


def test_first_restart_is_at_once_and_then_less_and_less_often() -> None:
    backoff = make_backoff()
    assert [backoff.next_delay(0) for _ in range(5)] == [0.0, 0.2, 0.4, 0.8, 1.6]


def test_delay_has_a_ceiling() -> None:
    backoff = make_backoff()
    delays = [backoff.next_delay(0) for _ in range(2000)]
    assert max(delays) == delays[-1] == USUAL.restart_ceiling


def test_process_that_was_well_is_restarted_at_once_again() -> None:
    backoff = make_backoff()
    for _ in range(6):
        backoff.next_delay(0)
    assert backoff.next_delay(6 * FORGIVE_SECONDS) == 0.0
    assert backoff.next_delay(0) > 0.0


def test_each_half_second_makes_up_for_one_end() -> None:
    backoff = make_backoff()
    for _ in range(6):
        backoff.next_delay(0)
    assert backoff.next_delay(3 * FORGIVE_SECONDS) == pytest.approx(0.8)


def test_healthy_process_that_is_killed_repeatedly_restarts_without_delay() -> None:
    """Ten in a row, each as soon as the call is back."""
    backoff = make_backoff()
    assert [backoff.next_delay(0.6) for _ in range(10)] == [0.0] * 10


@given(st.lists(st.floats(0, 2 * FORGIVE_SECONDS), max_size=50))
def test_what_keeps_failing_soon_is_never_tried_in_a_tight_loop(lives: list[float]) -> None:
    backoff = make_backoff()
    for count, well in enumerate(lives):
        delay = backoff.next_delay(well)
        assert 0.0 <= delay <= USUAL.restart_ceiling
        assert delay > 0.0 or well >= FORGIVE_SECONDS or count == 0
