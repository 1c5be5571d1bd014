"""An event loop in virtual time.

Hours of waiting pass in milliseconds, in the same order every time.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
MANY = 100
"""Timers of which most have to be cancelled before they are removed together, as in asyncio."""
LONGEST_JUMP = 86400.0
RESOLUTION = 1e-6
"""Seconds; with asyncio's 1e-9 the loop would spin once virtual time passes about 97 days."""


class Deadlock(RuntimeError):
    """Everything waits and nothing is scheduled: the program would hang for ever."""


class _Call(asyncio.Handle):
    """A callback to run. Lighter than its base, as this loop has no debug mode."""

    __slots__ = ()
    _repr = _source_traceback = None
    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _context: Context

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: "VirtualLoop",
        context: Context | None,
    ) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = _nothing, ()


class _Timer(_Call, asyncio.TimerHandle):
    """A callback to run at a moment. They are ordered by their moments, which stand beside them."""

    __slots__ = ()
    _when: float
    _scheduled: bool
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __lt__(self, _: object) -> bool:
        return False

    def cancel(self) -> None:
        self._loop.cancelled += self._scheduled and not self._cancelled
        super().cancel()


def _nothing() -> None:
    """Do nothing, in the place of a callback that was cancelled."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose `time()` starts at 0 and moves only when everything waits.

    It never waits for a timer: its clock jumps to it. Real descriptors (the loop's own wake-up
    pipe) still work. It keeps nothing in the kernel that a forked process would share.

    Everything runs in the order of asyncio's own loop. Its debug mode, and asking the system for
    events that only a thread can bring, are left out: thousands of stories take half the time.
    """

    _process_events: Callable[[list[Any]], None]
    _ready: deque[_Call]
    _scheduled: list[tuple[float, _Timer]]
    _selector: selectors.BaseSelector
    _stopping: bool

    def __init__(self) -> None:
        super().__init__(selectors.PollSelector())
        self._now = 0.0
        self.busy = 0  # Calls in threads that the clock has to wait for.
        self.cancelled = 0  # Timers, which stay scheduled until they are in the way.

    get_debug = staticmethod(bool)  # False, at the cost of no Python: each future asks.

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> _Call:
        call = _Call(callback, args, self, context)
        self._ready.append(call)
        return call

    def _call_soon(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> _Call:
        """Come from another thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> _Timer:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> _Timer:
        timer = _Timer(callback, args, self, context)
        timer._when, timer._scheduled = when, True
        heappush(self._scheduled, (when, timer))
        return timer

    def _run_once(self) -> None:
        ready = self._ready
        while True:
            self._advance()
            for _ in range(len(ready)):
                call = ready.popleft()
                if not call._cancelled:
                    try:
                        call._context.run(call._callback, *call._args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:  # noqa: BLE001 - as asyncio does
                        self.call_exception_handler(
                            {"message": f"Exception in {call!r}", "exception": error}
                        )
            if self._stopping:
                return

    def _advance(self) -> None:
        """Make ready what is due; where nothing is, at the moment of the next timer."""
        ready, timers = self._ready, self._scheduled
        if len(timers) > MANY and self.cancelled > len(timers) / 2:
            timers[:] = [t for t in timers if not t[1]._cancelled]
            heapify(timers)
            self.cancelled = 0
        while timers and timers[0][1]._cancelled:
            heappop(timers)
            self.cancelled -= 1
        if self.busy or not (ready or timers):
            self._poll()
        elif not ready and not self._stopping:
            self._now += min(max(0.0, timers[0][0] - self._now), LONGEST_JUMP)
        due = self._now + RESOLUTION
        while timers and timers[0][0] < due:
            timer = heappop(timers)[1]
            timer._scheduled = False
            ready.append(timer)

    def _poll(self) -> None:
        """Look for events of real descriptors.

        With nothing in a thread, nothing can wake the loop up from outside.
        """
        timers = self._scheduled
        events = self._selector.select(0)
        is_due = self._ready or self._stopping or (timers and timers[0][0] <= self._now)
        if not events and not is_due:
            if not self.busy:
                raise Deadlock("nothing is scheduled and nothing can happen")
            events = self._selector.select(0.05)
        self._process_events(events)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
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
