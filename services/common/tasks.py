"""Background tasks that are tracked, so that a shutdown can wait for them and no error is lost."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from services.common.context import task_context

log = logging.getLogger(__name__)


class Tasks:
    """A set of background tasks.

    The composition root has the whole set, and hands a part of it to each component.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._parts: list[Tasks] = []

    def part(self) -> "Tasks":
        """Return a set inside this one: settled or cancelled alone, or with the whole."""
        part = Tasks()
        self._parts.append(part)
        return part

    def start(
        self,
        work: Coroutine[Any, Any, None],
        name: str,
        failed: Callable[[BaseException], None] | None = None,
        *,
        actor: str = "",
        run: str = "",
    ) -> "asyncio.Task[None]":
        """Start a task; its log lines name `actor`, a Slack member id, and `run`.

        `failed` takes an error of the task; without it the error is logged.
        """
        task = asyncio.create_task(work, name=name, context=task_context(run=run, actor=actor))
        self._running.add(task)

        def done(task: "asyncio.Task[None]") -> None:
            self._running.discard(task)
            if task.cancelled() or (error := task.exception()) is None:
                return
            if failed is not None:
                failed(error)
            else:
                log.error("%s ended in %r", task.get_name(), error, exc_info=error)

        task.add_done_callback(done)
        return task

    @property
    def running(self) -> "set[asyncio.Task[None]]":
        """The running tasks of this set and its parts."""
        return self._running.union(*(part.running for part in self._parts))

    @property
    def busy(self) -> bool:
        """Whether a task is running."""
        return bool(self.running)

    async def settle(self, seconds: float) -> None:
        """Wait up to `seconds` for the running tasks, then cancel the rest."""
        if self.running:
            await asyncio.wait(self.running, timeout=seconds)
        for task in self.running:
            task.cancel()

    async def cancel(self) -> None:
        """Cancel the running tasks and wait until they have ended."""
        running = self.running
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
