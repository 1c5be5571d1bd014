"""Keeps every open run driven, and knows where those stand that this process drives."""

import asyncio
import logging
from collections.abc import Callable

from services.bugs import Bugs
from services.errors import BotError
from services.executor import Executor, Progress

log = logging.getLogger(__name__)
bugs = Bugs(log)


class Driver:
    """One background drive for each run. `tell` hears of all progress, at once and in order, and must not wait."""

    def __init__(self, executor: Executor, tell: Callable[[Progress], None]) -> None:
        self._executor = executor
        self._tell = tell
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, Progress] = {}
        self._closing = False

    def progress(self, run_id: str) -> Progress | None:
        """Where a run stands, if this process drives it."""
        return self._progress.get(run_id)

    def progressed(self, progress: Progress) -> None:
        """Something new about a run."""
        if progress.cluster is not None:
            self._progress[progress.run.id] = progress
        if progress.run.over:
            self._progress.pop(progress.run.id, None)
        self._tell(progress)

    def take_up(self, run_id: str) -> None:
        """Drive a run, unless that is done here already or this process is about to end."""
        task = self._driving.get(run_id)
        if self._closing or (task is not None and not task.done()):
            return
        task = asyncio.create_task(self._executor.drive(run_id), name=f"run {run_id}")
        self._driving[run_id] = task
        task.add_done_callback(lambda t: self._driven(run_id, t))

    def _driven(self, run_id: str, task: asyncio.Task[None]) -> None:
        self._driving.pop(run_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The claim stays and the next sweep takes the run up again, from what is seen then.
            if isinstance(error, BotError):
                log.warning("%s: driving it ended: %s; the next sweep goes on", run_id, error)
                return
            bugs.note(f"{run_id}: driving it ended; the next sweep goes on", error)

    async def aclose(self) -> None:
        """Stop driving and let go of the leases: another bot, or the next start, goes on at once."""
        self._closing = True
        tasks = list(self._driving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
