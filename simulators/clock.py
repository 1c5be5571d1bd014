"""The clocks of the pretend world."""

import asyncio
import time
from typing import Protocol


class WorldClock(Protocol):
    """Tells the time and waits, in seconds of the pretend world."""

    def now(self) -> float:
        """Return the moment, in seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        ...


class ScaledClock:
    """A clock that starts at `origin` (epoch seconds) and runs `speed` times as fast as real time.

    `started` is the `time.time()` at which it showed `origin`: processes with the same three
    numbers agree.
    """

    def __init__(
        self, speed: float = 1.0, origin: float | None = None, started: float | None = None
    ) -> None:
        self.speed = speed
        self.started = time.time() if started is None else started
        self.origin = self.started if origin is None else origin

    def run_at(self, speed: float) -> None:
        """Change the speed from now on.

        Processes that share the clock need the three numbers again.
        """
        self.origin, self.started, self.speed = self.now(), time.time(), speed

    def jump_to(self, moment: float) -> None:
        """Jump forward to that moment.

        Processes that share the clock need the three numbers again.
        """
        assert moment >= self.now(), "time does not go back"
        self.origin, self.started = moment, time.time()

    def now(self) -> float:
        return self.origin + (time.time() - self.started) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class LoopClock:
    """A clock on the running event loop's time: in a loop of virtual time, hours pass at once."""

    def __init__(self, origin: float = 1_800_000_000.0) -> None:
        self.origin = origin

    def now(self) -> float:
        return self.origin + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
