"""Background work that is tracked, so that a stop can wait for it and an error is never lost."""

import asyncio
import logging
from collections.abc import Awaitable

log = logging.getLogger(__name__)


class Tasks:
    """All that runs beside everything else."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Awaitable[None], name: str) -> None:
        """Run it beside everything else."""
        task = asyncio.ensure_future(work)
        task.set_name(name)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended in %r", task.get_name(), error, exc_info=error)

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return bool(self._running)

    async def settle(self, seconds: float) -> None:
        """Wait that long for what runs, then cancel the rest."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in list(self._running):
            task.cancel()
