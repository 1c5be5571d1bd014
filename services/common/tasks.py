"""Background work that is tracked, so that a stop can wait for it and an error is never lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Tasks:
    """A set of background tasks. The composition root has the whole set, and hands a part of it to each component."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._parts: list[Tasks] = []

    def part(self) -> "Tasks":
        """A set of its own inside this one: settled or cancelled alone, or with the whole."""
        part = Tasks()
        self._parts.append(part)
        return part

    def start(
        self,
        work: Awaitable[None],
        name: str,
        failed: Callable[[BaseException], None] | None = None,
    ) -> "asyncio.Task[None]":
        """Run it in the background. `failed`: takes its error; without it the error is logged."""
        task = asyncio.ensure_future(work)
        task.set_name(name)
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
        """What runs now, in this set and its parts."""
        return self._running.union(*(part.running for part in self._parts))

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return bool(self.running)

    async def settle(self, seconds: float) -> None:
        """Wait that long for what runs, then cancel the rest."""
        if self.running:
            await asyncio.wait(self.running, timeout=seconds)
        for task in self.running:
            task.cancel()

    async def cancel(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        running = self.running
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
