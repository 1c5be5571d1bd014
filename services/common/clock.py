"""The bot's clock, and the only place where it sleeps."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")


def _since_boot() -> float:
    """Return monotonic seconds that also count while the machine is suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _boot_id() -> str:
    """Return the id of this boot of the machine; "" where the system has none."""
    try:
        return BOOT.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Clock:
    """Tells the time (epoch seconds) and waits.

    `read` is the source of raw seconds: wall time by default, an event loop's own time in tests, so
    that hours of waiting pass in milliseconds. `steady` is the source of monotonic seconds: since
    the machine's boot by default. With `speed` and `origin` the clock shows `origin` at the moment
    when `read()` returned `started`, and runs that much faster from then on: the demo's bot and its
    simulated world get the same numbers and agree.
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
        """Return the current time in epoch seconds."""
        raw = self._read()
        if self.started is None or self.origin is None:
            return raw
        return self.origin + (raw - self.started) * self.speed

    def steady(self) -> float:
        """Return monotonic seconds at this clock's speed, for measuring time spans.

        Wall time does not do for that: it may be corrected.
        """
        return self._steady() * self.speed

    @property
    def boot_id(self) -> str:
        """Return the id of what `steady` counts from: readings with the same id are comparable.

        "" when only readings of this object are.
        """
        if self._steady is not _since_boot or self.speed != 1.0:
            return ""
        return _boot_id()

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """Return an `async with` block that raises TimeoutError after that many of its seconds."""
        return asyncio.timeout(seconds / self.speed)


def loop_clock(origin: float) -> Clock:
    """Return a clock on the running loop's own time, for loops in virtual time."""
    return _LoopClock(origin)


class _LoopClock(Clock):
    """Tells the loop's own time at once: it is asked many times in each piece of work."""

    def __init__(self, begins: float) -> None:
        super().__init__(read=self.now, steady=lambda: asyncio.get_running_loop().time())
        self._begins = begins

    def now(self) -> float:
        return self._begins + asyncio.get_running_loop().time()
