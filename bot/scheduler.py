"""The ticker that starts a round every few seconds.

It decides nothing: what is due follows from the state and the clock, so a tick may be late or lost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from services.common.clock import Clock


class Ticker:
    """Calls `work` at once and then every `every` seconds of the clock, one call at a time.

    `work` returns whether the round was complete; `silent_for` counts complete rounds only.
    """

    def __init__(self, work: Callable[[], Awaitable[bool]], every: float, clock: Clock) -> None:
        self._work = work
        self._last: float | None = None
        self._ended: float | None = None
        self._stopping = False
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._scheduler.add_job(
            self._once,
            "interval",
            seconds=every / clock.speed,
            next_run_time=datetime.now(UTC),
            max_instances=1,
            coalesce=True,  # ten missed ticks count as one
            misfire_grace_time=None,  # and no tick is too late
        )

    def start(self) -> None:
        """Start, on the running loop."""
        self._last = self._ended = asyncio.get_running_loop().time()
        self._scheduler.start()

    def stop(self) -> None:
        """Stop. A running round is cancelled: another bot, or the next start, does its work."""
        self._stopping = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def silent_for(self) -> float:
        """Return seconds since the last complete round, or since the start."""
        return _seconds_since(self._last)

    def stalled_for(self) -> float:
        """Return seconds since the last round ended, complete or not, or since the start."""
        return _seconds_since(self._ended)

    async def _once(self) -> None:
        try:
            if await self._work():
                self._last = asyncio.get_running_loop().time()
            self._ended = asyncio.get_running_loop().time()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            # Not raised: APScheduler would log an error with a traceback at every stop.


def _seconds_since(moment: float | None) -> float:
    if moment is None:
        return 0.0
    return asyncio.get_running_loop().time() - moment
