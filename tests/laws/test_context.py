"""Log lines name the run and the person they are about.

In the task itself and in what it starts.
"""

import asyncio

from services.common.context import NO_WORK, WorkContext, current_work, task_context, working_for
from services.common.tasks import Tasks


def test_a_task_keeps_its_own_context_and_hands_it_to_its_children() -> None:
    async def look() -> WorkContext:
        return await asyncio.create_task(child())

    async def child() -> WorkContext:
        return current_work()

    async def story() -> None:
        acme = asyncio.create_task(look(), context=task_context(run="acme-1"))
        beta = asyncio.create_task(look(), context=task_context(run="beta-7"))
        assert await acme == WorkContext(run="acme-1")
        assert await beta == WorkContext(run="beta-7")
        assert current_work() == NO_WORK

    asyncio.run(story())


def test_a_run_that_a_person_starts_does_not_name_the_person() -> None:
    async def look() -> WorkContext:
        return current_work()

    async def story() -> None:
        with working_for(actor="UANA"):
            assert current_work() == WorkContext(actor="UANA")
            run = asyncio.create_task(look(), context=task_context(run="acme-1"))
            shared = asyncio.create_task(look(), context=task_context())
        assert await run == WorkContext(run="acme-1")
        assert await shared == NO_WORK
        assert current_work() == NO_WORK

    asyncio.run(story())


def test_background_tasks_name_only_the_person_they_were_started_for() -> None:
    seen: list[WorkContext] = []

    async def look() -> None:
        seen.append(current_work())

    async def story() -> None:
        tasks = Tasks()
        with working_for(run="acme-1", actor="UBEN"):
            tasks.start(look(), "command of UANA", actor="UANA")
            tasks.start(look(), "sweep")
        await tasks.settle(1.0)

    asyncio.run(story())
    assert seen == [WorkContext(actor="UANA"), NO_WORK]
