"""A hub with random failures. `python -m tests.kit.luck --cycles 200` is the long version."""

import pytest

from tests.kit.luck import try_luck


@pytest.mark.soak
@pytest.mark.long
@pytest.mark.anyio
async def test_nothing_is_left_over_lost_or_cut_in_any_order_of_bad_luck() -> None:
    counts = await try_luck(cycles=10, seed=7)
    assert counts["cycle"] == 10
    assert counts["back"] > 0, "at least one call was there to be cut"
