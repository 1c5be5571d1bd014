"""An event loop in virtual time.

Hours of waiting pass in milliseconds, in the same order every time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Everything waits and nothing is scheduled: the program would hang for ever."""


class _Jump(selectors.PollSelector):
    """Never waits for a timer: the loop's clock jumps to it.

    Real descriptors (the loop's own wake-up pipe) still work.

    It keeps nothing in the kernel that a forked process would share.
    """

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        # With nothing in a thread, nothing can wake the loop up from outside.
        ready = super().select(0) if self.loop.busy or timeout is None else []
        if ready or timeout == 0:
            return ready
        if self.loop.busy:
            return super().select(0.05)
        if timeout is None:
            raise Deadlock("nothing is scheduled and nothing can happen")
        self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose `time()` starts at 0 and moves only when everything waits."""

    def __init__(self) -> None:
        selector = _Jump()
        super().__init__(selector)
        selector.loop = self
        self._now = 0.0
        self.busy = 0  # Calls in threads that the clock has to wait for.
        # With the default resolution of 1e-9 the loop would spin once virtual time passes about 97
        # days.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Move on to the next timer."""
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        self.busy += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._idle())
        return future

    def _idle(self) -> None:
        self.busy -= 1


def run(story: Coroutine[Any, Any, T], *, at_most: float = 30 * 86400.0) -> T:
    """Run a story in virtual time. Fails when it takes more virtual seconds than `at_most`."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_bounded(story, at_most))
    finally:
        _end(loop)
        asyncio.set_event_loop(None)
        loop.close()


async def _bounded(story: Coroutine[Any, Any, T], at_most: float) -> T:
    async with asyncio.timeout(at_most):
        return await story


def _end(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
