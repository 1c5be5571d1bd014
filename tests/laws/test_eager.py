"""Work that is started at once behaves as in a task of its own, wherever it first waits."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from services.common import eager
from services.common.bulkheads import AT_A_STRETCH, Bulkheads
from services.common.clock import loop_clock
from tests.support import virtual

NOTED: ContextVar[str] = ContextVar("noted", default="")


async def result_of(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what the task returns that is left of this work."""
    task = eager.start(work)
    assert task is not None, "it had to wait"
    return await task


def test_work_that_need_not_wait_becomes_no_task() -> None:
    async def story() -> None:
        done: list[str] = []

        async def work() -> None:
            done.append("work")
            NOTED.set("by the work")

        async def fails() -> None:
            raise ValueError("at once")

        me = asyncio.current_task()
        assert eager.start(work()) is None
        assert done == ["work"], "it has ended already"
        assert NOTED.get() == "", "what it sets is its own"
        with pytest.raises(ValueError, match="at once"):
            eager.start(fails())
        assert asyncio.all_tasks() == {me}
        assert asyncio.current_task() is me

    virtual.run(story())


@pytest.mark.parametrize("pause", [lambda: asyncio.sleep(0), lambda: asyncio.sleep(3)])
def test_the_rest_of_it_is_a_task_in_the_same_context(
    pause: Callable[[], Awaitable[None]],
) -> None:
    async def story() -> None:
        async def work() -> str:
            NOTED.set("by the work")
            await pause()
            await pause()
            return NOTED.get()

        assert await result_of(work()) == "by the work"
        assert NOTED.get() == ""

    virtual.run(story())


def test_a_timeout_that_began_before_the_task_ends_its_block_and_not_its_starter() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()

        async def work() -> float:
            try:
                async with asyncio.timeout(5):
                    await asyncio.sleep(60)
            except TimeoutError:
                return loop.time()
            raise AssertionError("it did not time out")

        assert await result_of(work()) == 5

    virtual.run(story())


def test_a_task_group_that_began_before_the_task_cancels_its_block() -> None:
    async def story() -> None:
        async def fails() -> None:
            await asyncio.sleep(2)
            raise ValueError("later")

        async def work() -> str:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fails())
                    await asyncio.sleep(60)
            except* ValueError:
                pass
            return "handled"

        assert await result_of(work()) == "handled"
        assert asyncio.get_running_loop().time() == 2

    virtual.run(story())


@pytest.mark.parametrize("moment", [0, 1])
def test_cancelled_work_cancels_what_it_waits_for_and_cleans_up(moment: int) -> None:
    """Also in its first moment, in which a task of asyncio has not run yet."""

    async def story() -> None:
        happened: list[str] = []

        async def child() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                happened.append("the child was cancelled")
                raise

        async def work() -> None:
            try:
                await asyncio.gather(child())
            finally:
                await asyncio.sleep(0)
                happened.append("cleaned up")

        task = eager.start(work())
        assert task is not None
        for _ in range(2 * moment):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert happened == ["the child was cancelled", "cleaned up"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtual.run(story())


def test_work_that_cancels_its_own_task_is_cancelled_where_it_waits() -> None:
    async def story() -> None:
        async def work() -> None:
            current = asyncio.current_task()
            assert current is not None
            current.cancel()
            assert current.cancelling() == 1
            await asyncio.sleep(60)

        with pytest.raises(asyncio.CancelledError):
            await result_of(work())
        assert asyncio.get_running_loop().time() == 0

    virtual.run(story())


def test_a_round_of_work_that_never_waits_lets_others_run_now_and_then() -> None:
    async def story() -> None:
        bulkheads, turns, most, since = Bulkheads(loop_clock(0.0)), 0, 0, 0

        async def others() -> None:
            nonlocal turns, since
            while True:
                await asyncio.sleep(0)
                turns, since = turns + 1, 0

        async def work(_: str) -> None:
            nonlocal most, since
            since += 1
            most = max(most, since)

        beside = asyncio.create_task(others())
        await asyncio.sleep(0)
        names = [f"c{n}" for n in range(10 * AT_A_STRETCH)]
        await bulkheads.run_each("part", names, work)
        assert turns >= 9
        assert most <= AT_A_STRETCH
        turns = most = since = 0
        await bulkheads.run_each("part", names, work, together=True)
        beside.cancel()
        assert turns >= 9, "clusters together"
        assert most <= AT_A_STRETCH

    virtual.run(story())
