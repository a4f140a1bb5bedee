import anyio
import anyio.lowlevel
import pytest

from lkhub.service.oidc.fetch import ProviderError
from lkhub.service.oidc.kept import (
    FRESH_SECONDS,
    RENEW_SECONDS,
    RETRY_SECONDS,
    RETRY_USABLE_SECONDS,
    USABLE_SECONDS,
    Kept,
)
from tests.service.oidc.conftest import Clock
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Source:
    """What is loaded: 1, 2, 3 and so on, or an error."""

    def __init__(self) -> None:
        self.loads, self.down = 0, False
        self.answers = anyio.Event()
        self.answers.set()

    async def load(self) -> int:
        self.loads += 1
        await anyio.lowlevel.checkpoint()
        await self.answers.wait()
        if self.down:
            raise ProviderError(f"down at load {self.loads}")
        return self.loads


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def kept(source: Source, clock: Clock) -> Kept[int]:
    return Kept(source.load, clock)


async def test_a_hundred_requests_load_it_once(kept: Kept[int], source: Source) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(kept.get)
    assert source.loads == 1


async def test_a_hundred_unknown_keys_renew_it_once(kept: Kept[int], source: Source) -> None:
    seen = await kept.get()
    found: list[int] = []

    async def renew() -> None:
        found.append(await kept.renew(seen))

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(renew)
    assert (source.loads, found) == (2, [2] * 100)


async def test_it_is_loaded_again_when_it_is_old(kept: Kept[int], clock: Clock) -> None:
    assert await kept.get() == 1
    clock.now += FRESH_SECONDS - 1
    assert await kept.get() == 1
    clock.now += 1
    assert await kept.get() == 2


async def test_made_up_keys_do_not_load_it_all_the_time(kept: Kept[int], source: Source, clock: Clock) -> None:
    seen = await kept.get()
    seen = await kept.renew(seen)
    for _ in range(10):
        clock.now += RENEW_SECONDS / 11
        assert await kept.renew(seen) == seen
    assert source.loads == 2
    clock.now += RENEW_SECONDS / 11 + 0.1
    assert await kept.renew(seen) == 3


async def test_failure_is_answered_at_once_for_a_while_and_ends_by_itself(
    kept: Kept[int], source: Source, clock: Clock
) -> None:
    source.down = True
    for _ in range(10):
        with pytest.raises(ProviderError, match="down at load 1"):
            await kept.get()
    source.down = False
    clock.now += RETRY_SECONDS
    assert await kept.get() == 2


async def test_what_is_kept_is_used_while_the_provider_is_away_but_not_for_ever(
    kept: Kept[int], source: Source, clock: Clock
) -> None:
    assert await kept.get() == 1
    source.down = True
    clock.now += FRESH_SECONDS
    for _ in range(10):
        assert await kept.get() == 1
    assert source.loads == 2, "and the provider is left alone"
    clock.now += RETRY_USABLE_SECONDS
    assert await kept.get() == 1
    await until(lambda: source.loads == 3)
    clock.now += USABLE_SECONDS
    with pytest.raises(ProviderError, match="down"):
        await kept.get()
    source.down = False
    clock.now += RETRY_SECONDS
    assert await kept.get() == 5


async def test_provider_that_does_not_answer_is_waited_for_once(kept: Kept[int], source: Source, clock: Clock) -> None:
    assert await kept.get() == 1
    source.down = True
    clock.now += FRESH_SECONDS
    assert await kept.get() == 1
    source.down, source.answers = False, anyio.Event()
    clock.now += RETRY_USABLE_SECONDS
    for _ in range(10):
        assert await kept.get() == 1
        await anyio.lowlevel.checkpoint()
    assert source.loads == 3
    source.answers.set()
    await until(lambda: kept._value == 3)
    assert await kept.get() == 3


async def test_what_lacks_something_while_the_provider_is_away_can_not_be_judged(
    kept: Kept[int], source: Source
) -> None:
    seen = await kept.get()
    source.down = True
    with pytest.raises(ProviderError, match="down"):
        await kept.renew(seen)


async def test_made_up_key_makes_nobody_else_wait_for_a_slow_provider(kept: Kept[int], source: Source) -> None:
    seen = await kept.get()
    source.answers = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kept.renew, seen)
        await until(lambda: source.loads == 2)
        with anyio.move_on_after(1) as waited:
            assert await kept.get() == 1
        source.answers.set()
    assert not waited.cancelled_caught
