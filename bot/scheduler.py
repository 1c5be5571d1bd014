"""The tick that wakes the bot up. It decides nothing: what is due is asked of the state and the clock, so a tick may be late or missing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from services.common.clock import Clock


class Tick:
    """Calls `work` at once and then every so many seconds of the clock, never twice at the same time.

    `work` says whether it was a whole round: one that was not does not count.
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
            coalesce=True,  # ten missed ticks are one
            misfire_grace_time=None,  # and none is too late
        )

    def start(self) -> None:
        """Begin, on the running loop."""
        self._last = self._ended = asyncio.get_running_loop().time()
        self._scheduler.start()

    def stop(self) -> None:
        """No further tick. A round that runs is cut short: what it looks after is looked after by the next bot, or the next start."""
        self._stopping = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def silent_for(self) -> float:
        """Seconds since the last round ended well, or since the start."""
        return asyncio.get_running_loop().time() - self._last if self._last is not None else 0.0

    def stalled_for(self) -> float:
        """Seconds since a round ended, well or not, or since the start."""
        return asyncio.get_running_loop().time() - self._ended if self._ended is not None else 0.0

    async def _once(self) -> None:
        try:
            if await self._work():
                self._last = asyncio.get_running_loop().time()
            self._ended = asyncio.get_running_loop().time()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            # Told to APScheduler it would be an error, with a traceback at every stop.
