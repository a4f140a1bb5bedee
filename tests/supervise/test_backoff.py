from hypothesis import given
from hypothesis import strategies as st

from lkhub.supervise.backoff import CEILING_SECONDS, SOUND_AFTER_SECONDS, Backoff


def test_first_restart_is_at_once_and_then_less_and_less_often() -> None:
    backoff = Backoff()
    assert [backoff.next_delay(0) for _ in range(5)] == [0.0, 0.2, 0.4, 0.8, 1.6]


def test_delay_has_a_ceiling() -> None:
    backoff = Backoff()
    delays = [backoff.next_delay(0) for _ in range(2000)]
    assert max(delays) == delays[-1] == CEILING_SECONDS


def test_process_that_ran_well_is_restarted_at_once_again() -> None:
    backoff = Backoff()
    for _ in range(6):
        backoff.next_delay(0)
    assert backoff.next_delay(SOUND_AFTER_SECONDS) == 0.0
    assert backoff.next_delay(0) > 0.0


@given(st.lists(st.floats(0, 2 * SOUND_AFTER_SECONDS), max_size=50))
def test_what_keeps_failing_soon_is_never_tried_in_a_tight_loop(lives: list[float]) -> None:
    backoff = Backoff()
    for before, ran in zip([SOUND_AFTER_SECONDS, *lives], lives, strict=False):
        delay = backoff.next_delay(ran)
        assert 0.0 <= delay <= CEILING_SECONDS
        assert delay > 0.0 or ran >= SOUND_AFTER_SECONDS or before >= SOUND_AFTER_SECONDS
