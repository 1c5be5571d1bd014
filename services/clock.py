"""The time the bot lives in, and the one place where it sleeps."""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """Tells the time (seconds since the epoch) and waits.

    `read` is where raw seconds come from: the wall by default, an event loop's own time in tests, so that hours of waiting pass in
    milliseconds. With `speed` and `origin` the clock shows `origin` when `read()` said `started` and runs that much faster since: the
    demo's bot and its pretend world are handed the same numbers and agree.
    """

    def __init__(
        self, *, read: Callable[[], float] = time.time, speed: float = 1.0, origin: float | None = None, started: float | None = None
    ) -> None:
        self._read = read
        self.speed = speed
        self.started = started
        self.origin = origin

    def now(self) -> float:
        """The moment, in seconds since the epoch."""
        raw = self._read()
        if self.started is None or self.origin is None:
            return raw
        return self.origin + (raw - self.started) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """An `async with` block that may take that many seconds of this clock, else TimeoutError."""
        return asyncio.timeout(seconds / self.speed)


def loop_clock(origin: float) -> Clock:
    """A clock on the running loop's own time, for loops in virtual time."""
    return Clock(read=lambda: origin + asyncio.get_running_loop().time())
