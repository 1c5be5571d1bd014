"""Drives runs in the background, and knows where each of this process stands."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.context import task_context
from services.runs.executor import Executor
from services.runs.progress import Progress

log = logging.getLogger(__name__)
PART = "driving runs"
# Seconds until a run is taken up again that could not be driven; doubled each time.
FIRST, LAST = 10.0, 600.0


@dataclass(frozen=True)
class _Failed:
    """Driving it failed so many times; it is not tried again until then (steady seconds)."""

    times: int
    until: float


class RunDriver:
    """One background task for each run.

    `tell` hears of all progress, at once and in order, and must not wait.
    """

    def __init__(
        self,
        executor: Executor,
        tell: Callable[[Progress], None],
        clock: Clock,
        bulkheads: Bulkheads,
    ) -> None:
        self._executor = executor
        self._tell = tell
        self._clock = clock
        self._bulkheads = bulkheads
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, Progress] = {}
        self._failed: dict[str, _Failed] = {}
        self._closing = False

    def progress(self, run_id: str) -> Progress | None:
        """Where a run stands, if this process drives it."""
        return self._progress.get(run_id)

    def drives(self, run_id: str) -> bool:
        """Whether this process drives it."""
        task = self._driving.get(run_id)
        return task is not None and not task.done()

    @property
    def driven(self) -> tuple[Progress, ...]:
        """Where each run of this process stands."""
        return tuple(self._progress.values())

    def progressed(self, progress: Progress) -> None:
        """Note a run's progress, and pass it on."""
        if progress.cluster is not None:
            self._progress[progress.run.id] = progress
        if progress.run.over:
            self._progress.pop(progress.run.id, None)
        self._tell(progress)

    def drive(self, cluster: str, run_id: str, wait: float = 0.0) -> None:
        """Drive a run, unless this process does, failed to a moment ago, or is closing.

        `wait`: seconds to wait for another worker's lease to end.
        """
        task = self._driving.get(run_id)
        if self._closing or (task is not None and not task.done()):
            return
        failed = self._failed.get(run_id)
        if failed is not None and self._clock.steady() < failed.until:
            return
        task = asyncio.create_task(
            self._executor.drive(run_id, wait),
            name=f"run {run_id}",
            context=task_context(run=run_id),
        )
        self._driving[run_id] = task
        task.add_done_callback(partial(self._driven, cluster, run_id))

    def drop_all(self) -> None:
        """Drive none of them any more: their state is lost."""
        for task in self._driving.values():
            task.cancel()
        self._progress.clear()
        self._failed.clear()

    def _driven(self, cluster: str, run_id: str, task: "asyncio.Task[None]") -> None:
        self._driving.pop(run_id, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._failed.pop(run_id, None)
            self._bulkheads.record_success(PART, cluster)
            return
        # The lock stays, and a later sweep takes the run up again; after a pause, if the error does
        # not pass by itself.
        if not self._bulkheads.record_failure(PART, cluster, error):
            times = self._failed[run_id].times + 1 if run_id in self._failed else 1
            self._failed[run_id] = _Failed(
                times, self._clock.steady() + min(LAST, FIRST * 2 ** (times - 1))
            )

    async def aclose(self) -> None:
        """Stop driving and release the leases, so that another bot takes over at once."""
        self._closing = True
        tasks = list(self._driving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
