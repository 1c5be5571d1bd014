"""The time the bot lives in, and the one place where it sleeps."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")


def _since_boot() -> float:
    """Seconds that only go forward, also while the machine sleeps; no correction of the clock touches them."""
    return (
        time.clock_gettime(time.CLOCK_BOOTTIME)
        if hasattr(time, "CLOCK_BOOTTIME")
        else time.monotonic()
    )


def _boot() -> str:
    """The name of this boot of the machine; "" where the system has none."""
    try:
        return BOOT.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Clock:
    """Tells the time (seconds since the epoch) and waits.

    `read` is where raw seconds come from: the wall by default, an event loop's own time in tests, so that hours of waiting pass in
    milliseconds. `steady` is where seconds come from that only go forward: since the machine's boot by default. With
    `speed` and `origin` the clock shows `origin` when `read()` said `started` and runs that much faster since: the demo's bot and its
    pretend world are handed the same numbers and agree.
    """

    def __init__(
        self,
        *,
        read: Callable[[], float] = time.time,
        steady: Callable[[], float] = _since_boot,
        speed: float = 1.0,
        origin: float | None = None,
        started: float | None = None,
    ) -> None:
        self._read = read
        self._steady = steady
        self.speed = speed
        self.started = started
        self.origin = origin

    def now(self) -> float:
        """The moment, in seconds since the epoch."""
        raw = self._read()
        if self.started is None or self.origin is None:
            return raw
        return self.origin + (raw - self.started) * self.speed

    def steady(self) -> float:
        """Seconds that only go forward, as fast as this clock. Whoever measures a time span asks this: the wall may be corrected."""
        return self._steady() * self.speed

    @property
    def boot(self) -> str:
        """What `steady` counts from, by name: readings under the same name can be compared. "" when only those of this object can."""
        return _boot() if self._steady is _since_boot and self.speed == 1.0 else ""

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """An `async with` block that may take that many seconds of this clock, else TimeoutError."""
        return asyncio.timeout(seconds / self.speed)


def loop_clock(origin: float) -> Clock:
    """A clock on the running loop's own time, for loops in virtual time."""
    return Clock(
        read=lambda: origin + asyncio.get_running_loop().time(),
        steady=lambda: asyncio.get_running_loop().time(),
    )
