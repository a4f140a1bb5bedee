"""What is called in a thread ends before its caller goes on."""

import asyncio
import threading

import pytest

from lkhub.store.threads import run_to_end

pytestmark = pytest.mark.anyio


async def test_result_and_error_are_the_functions() -> None:
    assert await run_to_end(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        await run_to_end(lambda: 1 // 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_caller_that_is_cancelled_waits_for_the_thread(fails: bool) -> None:
    began, may_end = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        began.set()
        may_end.wait(60)
        done.append("the thread")
        if fails:
            raise ZeroDivisionError

    async def call() -> None:
        try:
            await run_to_end(work)
        finally:
            done.append("its caller")

    caller = asyncio.ensure_future(call())
    await asyncio.to_thread(began.wait, 60)
    caller.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == []
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["the thread", "its caller"]
