"""Bulkheads: keep a failure in one part of the bot, or for one cluster, from stopping the others.

Each piece of periodic work runs under its own key (part, cluster), whatever it raises and however
long it takes. Work that has to wait becomes a task; most has nothing to do, and ends at once. A
failure is logged once with its traceback, counted, and listed for as long as it lasts: on /healthz,
and in one message.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from services.common import eager
from services.common.clock import Clock
from services.common.errors import BadRecord, BotError, Foreign, ObservesOnly
from services.common.metrics import METRICS

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
# Seconds that a round waits for one part as a whole, and that a part waits for one cluster. After
# that the work continues in the background, and is not started again until it has ended.
PATIENCE = 20.0
FOR_ONE = 10.0
# Seconds that each cluster gets at least, however many others have not ended in that round.
LEAST = 1.0
# Clusters at once: all of them, or as many as may wait for answers side by side.
EVERY = 1000
AT_ONCE = 64
# Pieces of work, which may all end without waiting, until the loop runs what else is ready.
AT_A_STRETCH = 8
# Seconds after which the work is cancelled, and started again.
LIMIT = 300.0
# Seconds after which the same text is logged again.
SAID_AGAIN = 3600.0
# Our own errors that do not pass by themselves.
LASTING = (BadRecord, Foreign, ObservesOnly)
Work = Callable[[], Awaitable[object]]
Key = tuple[str, str]


@dataclass(frozen=True)
class Failure:
    """A current failure of a part of the bot: for one cluster, or "" for the part as a whole.

    `since` in epoch seconds; `times` counts how often it failed with the same text.
    """

    part: str
    cluster: str
    text: str
    since: float
    times: int = 1

    @property
    def text_line(self) -> str:
        """Return it as one line."""
        line = f"{_where(self.part, self.cluster)}: {self.text}"
        return f"{line} ({self.times} times)" if self.times > 1 else line


@dataclass
class _Running:
    """A piece of work that has not ended. `hung`: it was cancelled because it took too long."""

    task: "asyncio.Future[None]"
    began: float
    hung: bool = False


class Bulkheads:
    """Runs the periodic work of one bot, each piece contained."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[Key, _Running] = {}
        self._troubles: dict[Key, Failure] = {}
        # By key: when each text was logged.
        self._logged: dict[Key, dict[str, float]] = {}
        self._closing = False
        self._at_a_stretch = 0

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the current failures."""
        return tuple(self._troubles[k] for k in sorted(self._troubles))

    async def run_each(
        self,
        part: str,
        clusters: Iterable[str],
        work: Callable[[str], Awaitable[object]],
        *,
        together: bool = False,
        at_once: int = EVERY,
    ) -> None:
        """Do the same work for each cluster: one after the other, or `together`, `at_once` of them.

        One after the other, all clusters whose work does not end cost the round what one of them
        may take, plus one second for each further one.
        """
        if together:
            await self._together(part, clusters, work, at_once)
            return
        loop, lost = asyncio.get_running_loop(), 0.0
        for name in clusters:
            began = loop.time()
            await self.run(part, partial(work, name), name, max(LEAST, FOR_ONE - lost))
            if (part, name) in self._running:
                lost += loop.time() - began

    async def _together(
        self,
        part: str,
        clusters: Iterable[str],
        work: Callable[[str], Awaitable[object]],
        at_once: int,
    ) -> None:
        names = list(clusters)
        if len(names) > at_once:
            await self._in_turns(part, names, work, at_once)
            return
        waiting: dict[Key, _Running] = {}
        try:
            for name in names:
                key = (part, name)
                outcome = self._begin(key, partial(work, name))
                if isinstance(outcome, _Running):
                    waiting[key] = outcome
                if self._is_long_stretch():
                    await asyncio.sleep(0)
            if waiting:
                await asyncio.wait([r.task for r in waiting.values()], timeout=FOR_ONE)
        except asyncio.CancelledError:
            for running in waiting.values():
                running.task.cancel()
            raise
        for key, running in waiting.items():
            self._outcome(key, running)

    async def _in_turns(
        self,
        part: str,
        names: Iterable[str],
        work: Callable[[str], Awaitable[object]],
        at_once: int,
    ) -> None:
        """Do it for `at_once` clusters, and for one more whenever one of them has ended."""
        gate = asyncio.Semaphore(at_once)

        async def one(name: str) -> None:
            async with gate:
                await self.run(part, partial(work, name), name)

        await asyncio.gather(*(one(name) for name in names))

    async def run(
        self, part: str, work: Work, cluster: str = "", patience: float | None = None
    ) -> bool:
        """Do a piece of work, unless the previous one still runs; return False if it failed.

        It failed also if it has been running for too long. After `patience` seconds it continues in
        the background.
        """
        key = (part, cluster)
        outcome = self._begin(key, work)
        if not isinstance(outcome, _Running):
            if self._is_long_stretch():
                await asyncio.sleep(0)
            return outcome
        if patience is None:
            patience = _patience_for(cluster)
        try:
            await _ended_within(outcome.task, patience)
        except asyncio.CancelledError:
            outcome.task.cancel()
            raise
        return self._outcome(key, outcome)

    def _begin(self, key: Key, work: Work) -> "_Running | bool":
        """Begin a piece of work; return its outcome if it ended without having to wait.

        Also where the previous one has not ended.
        """
        before = self._running.get(key)
        if before is not None and not before.task.done():
            return self._continues(key, before)
        if before is not None:
            self._ended(key, before)
        try:
            task = eager.start(_without_exit(work))
        except asyncio.CancelledError:
            return self._closing or self._was_cancelled(key)
        except Exception as error:  # noqa: BLE001 - containing any error is what bulkheads are for
            return self.record_failure(*key, error)
        if task is None:
            self.record_success(*key)
            return True
        running = self._running[key] = _Running(task, asyncio.get_running_loop().time())
        return running

    def _is_long_stretch(self) -> bool:
        """Return, now and then, True: work need not wait for anything, and others have to run."""
        self._at_a_stretch = (self._at_a_stretch + 1) % AT_A_STRETCH
        return not self._at_a_stretch

    def _outcome(self, key: Key, running: _Running) -> bool:
        """Return the outcome of work that was waited for, which may not have ended."""
        if running.task.done():
            return self._ended(key, running)
        return self._continues(key, running)

    def _continues(self, key: Key, running: _Running) -> bool:
        seconds = asyncio.get_running_loop().time() - running.began
        if seconds < LIMIT:
            return True
        running.hung = True
        running.task.cancel()
        self._failed(
            key,
            TimeoutError(f"has not ended for {seconds:.0f} s"),
            f"has not ended for {LIMIT:.0f} s",
        )
        return False

    def _ended(self, key: Key, running: _Running) -> bool:
        if self._running.get(key) is running:
            del self._running[key]
        if running.hung:
            return False  # already recorded; the next attempt shows whether it works now
        if running.task.cancelled() and self._closing:
            return True
        if running.task.cancelled():
            return self._was_cancelled(key)
        error = running.task.exception()
        if error is not None:
            return self.record_failure(*key, error)
        self.record_success(*key)
        return True

    def _was_cancelled(self, key: Key) -> bool:
        return self.record_failure(*key, asyncio.CancelledError("was cancelled"))

    # Work that runs elsewhere: in tasks of its own, and in calls that must not wait

    @contextmanager
    def contained(self, part: str, cluster: str) -> Iterator[None]:
        """Record a block's outcome; its exceptions do not leave it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - containing any error is what bulkheads are for
            self.record_failure(part, cluster, error)
        else:
            self.record_success(part, cluster)

    def record_failure(self, part: str, cluster: str, error: BaseException) -> bool:
        """Record a failure; return True if it passes by itself: a service is down, or refuses."""
        key = (part, cluster)
        if isinstance(error, BotError) and not isinstance(error, LASTING):
            text = str(error)
            if self._is_new(key, text):
                log.warning("%s: %s", _where(part, cluster), text)
            return True
        text = str(error) if isinstance(error, BotError) else _class_and_place(error)
        self._failed(key, error, text)
        return False

    def record_success(self, part: str, cluster: str) -> None:
        """Record a success."""
        if not self._troubles:
            return
        if (trouble := self._troubles.pop((part, cluster), None)) is not None:
            METRICS.set("openvidu_bot_part_failing", 0, part=part, cluster=cluster)
            if self._is_new((part, cluster), f"well after {trouble.text}"):
                log.info("%s works again; it was: %s", _where(part, cluster), trouble.text)

    def _failed(self, key: Key, error: BaseException, text: str) -> None:
        part, cluster = key
        METRICS.add("openvidu_bot_part_failures_total", part=part, cluster=cluster)
        METRICS.set("openvidu_bot_part_failing", 1, part=part, cluster=cluster)
        before = self._troubles.get(key)
        if before is None:
            self._troubles[key] = Failure(part, cluster, text, self._clock.now())
        elif before.text == text:
            self._troubles[key] = replace(before, times=before.times + 1)
        else:
            self._troubles[key] = Failure(part, cluster, text, before.since)
        if self._is_new(key, text):
            log.error(
                "%s: %s; everything else continues, and this is retried",
                _where(part, cluster),
                text,
                exc_info=error,
            )

    def _is_new(self, key: Key, text: str) -> bool:
        """Return whether this text was not logged within the hour.

        Recovering or failing in another way meanwhile does not count as new.
        """
        now = self._clock.now()
        logged = {
            t: at for t, at in self._logged.get(key, {}).items() if 0 <= now - at < SAID_AGAIN
        }
        self._logged[key] = logged
        if text in logged:
            return False
        logged[text] = now
        return True

    def forget(self, clusters: Iterable[str]) -> None:
        """Drop the failures of clusters that another bot drives now: it has its own."""
        left = frozenset(clusters)
        for part, cluster in list(self._troubles):
            if cluster in left:
                METRICS.set("openvidu_bot_part_failing", 0, part=part, cluster=cluster)
                del self._troubles[part, cluster]

    async def aclose(self) -> None:
        """Cancel everything that still runs."""
        self._closing = True
        tasks = [r.task for r in self._running.values() if not r.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)


async def _without_exit(work: Work) -> None:
    """Do the work; turn SystemExit into an error, as asyncio would let it end the process."""
    try:
        await work()
    except SystemExit as error:
        raise RuntimeError(f"tried to end the process ({error.code})") from error


async def _ended_within(task: "asyncio.Future[None]", seconds: float) -> None:
    """Wait for a task that has not ended, as asyncio.wait does, at half of its cost.

    A bot waits like this for each part of each round, which mostly has nothing to do.
    """
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, wake)
    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        task.remove_done_callback(wake)


def _patience_for(cluster: str) -> float:
    return FOR_ONE if cluster else PATIENCE


def _where(part: str, cluster: str) -> str:
    return f"{part} of {cluster}" if cluster else part


def _class_and_place(error: BaseException) -> str:
    """Return the class and the origin of an error.

    Never its message: that may hold a secret, and this is shown outside the log.
    """
    frames = traceback.extract_tb(error.__traceback__)
    kind = type(error).__name__
    ours = [f for f in frames if ROOT in Path(f.filename).parents and ".venv" not in f.filename]
    innermost = next(reversed(ours or frames), None)
    if innermost is None:
        return kind
    return f"{kind} at {Path(innermost.filename).name}:{innermost.lineno}"
