"""Background tasks that are tracked, so that a shutdown can wait for them and no error is lost."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from services.common.context import task_context

log = logging.getLogger(__name__)


class Tasks:
    """The background tasks of one owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str, *, actor: str = "") -> None:
        """Start a task; its log lines name `actor`, a Slack member id."""
        task = asyncio.create_task(work, name=name, context=task_context(actor=actor))
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended in %r", task.get_name(), error, exc_info=error)

    @property
    def busy(self) -> bool:
        """Whether a task is running."""
        return bool(self._running)

    async def settle(self, seconds: float) -> None:
        """Wait up to `seconds` for the running tasks, then cancel the rest."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in list(self._running):
            task.cancel()
