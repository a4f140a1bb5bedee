"""What is called in a thread ends before its caller goes on."""

import asyncio
import gc
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


async def test_error_after_a_caller_was_cancelled_twice_is_not_logged_as_lost() -> None:
    """As at the end of the service, while the store is closed under what is read."""
    began, may_end = threading.Event(), threading.Event()
    lost: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))

    def work() -> None:
        began.set()
        may_end.wait(60)
        raise ZeroDivisionError

    others = asyncio.all_tasks()
    caller = asyncio.ensure_future(run_to_end(work))
    await asyncio.to_thread(began.wait, 60)
    in_thread = asyncio.all_tasks() - others - {caller}
    for _ in range(2):
        caller.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_end.set()
    await asyncio.wait(in_thread)
    del caller, in_thread
    gc.collect()
    assert lost == []
