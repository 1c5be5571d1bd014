"""Background tasks: a part ends alone, the whole ends all of them, and no error is lost."""

import asyncio

from services.common.tasks import Tasks
from tests.support import virtual


def test_a_part_is_cancelled_alone_and_the_whole_settles_all() -> None:
    async def story() -> None:
        tasks = Tasks()
        part, other = tasks.part(), tasks.part()
        hanging = part.start(asyncio.sleep(3600), "hanging")
        slow = other.start(asyncio.sleep(1), "slow")
        await part.cancel()
        assert hanging.cancelled()
        assert not part.busy
        assert tasks.busy
        await tasks.settle(2.0)
        assert slow.done()
        assert not slow.cancelled()
        assert not tasks.busy

    virtual.run(story())


def test_an_error_goes_to_whoever_started_the_task() -> None:
    async def story() -> None:
        errors: list[BaseException] = []
        strange = RuntimeError("strange")

        async def fails() -> None:
            raise strange

        Tasks().part().start(fails(), "failing", errors.append)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert errors == [strange]

    virtual.run(story())
