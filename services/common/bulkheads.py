"""Keeps trouble where it is: each part of the bot, and in it each cluster, on its own, whatever it raises and however long it takes.

What goes wrong once is logged once with its traceback, counted, and named for as long as it lasts: on /healthz, and by one message.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from services.common.clock import Clock
from services.common.errors import BadRecord, BotError, Foreign
from services.common.metrics import METRICS

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0  # seconds that a round waits for one part
FOR_ONE = 10.0  # and a part for one cluster: then it goes on by itself, and is not begun again until it has ended
LEAST = 1.0  # which each gets, however many others have not ended in that round
EVERY = 1000  # clusters at once: all of them
LIMIT = 300.0  # seconds after which it is cancelled, and begun anew
SAID_AGAIN = 3600.0
LASTING = (BadRecord, Foreign)  # of our own errors: those that do not pass by themselves
Work = Callable[[], Awaitable[object]]
Key = tuple[str, str]


@dataclass(frozen=True)
class Trouble:
    """What does not work at the moment: a part of the bot, for one cluster or ("") as a whole, since when, and how often."""

    part: str
    cluster: str
    text: str
    since: float
    times: int = 1

    @property
    def words(self) -> str:
        """In one line."""
        where = f"{self.part} of {self.cluster}" if self.cluster else self.part
        return f"{where}: {self.text}{f' ({self.times} times)' if self.times > 1 else ''}"


@dataclass
class _Held:
    """One piece of work that has not ended."""

    task: "asyncio.Future[None]"
    began: float
    hung: bool = False


class Bulkheads:
    """One for each bot: everything that it does again and again goes through here."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[Key, _Held] = {}
        self._troubles: dict[Key, Trouble] = {}
        self._said: dict[Key, dict[str, float]] = {}
        self._closing = False

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What does not work now."""
        return tuple(self._troubles[k] for k in sorted(self._troubles))

    async def each(
        self,
        part: str,
        clusters: Iterable[str],
        work: Callable[[str], Awaitable[object]],
        *,
        together: bool = False,
        at_once: int = EVERY,
    ) -> None:
        """The same for each cluster, one after the other or `together`, so many `at_once`.

        One after the other, those that do not end cost all of the others together what one of them may, and a second for each more.
        """
        if together:
            gate = asyncio.Semaphore(at_once)

            async def one(name: str) -> None:
                async with gate:
                    await self.keep(part, partial(work, name), name)

            await asyncio.gather(*(one(name) for name in clusters))
            return
        lost = 0.0
        for name in clusters:
            began = asyncio.get_running_loop().time()
            await self.keep(part, partial(work, name), name, max(LEAST, FOR_ONE - lost))
            if (part, name) in self._held:
                lost += asyncio.get_running_loop().time() - began

    async def keep(
        self, part: str, work: Work, cluster: str = "", patience: float | None = None
    ) -> bool:
        """Do a piece of work, unless it is still being done. False: it went wrong, or has not ended for too long.

        After `patience` seconds it goes on by itself.
        """
        key = (part, cluster)
        if (held := self._held.get(key)) is not None and held.task.done():
            self._ended(key, held)
            held = None
        left = 0.0
        if held is None:
            left = patience if patience is not None else FOR_ONE if cluster else PATIENCE
            task = asyncio.ensure_future(_whole(work))
            held = self._held[key] = _Held(task, asyncio.get_running_loop().time())
        try:
            await asyncio.wait({held.task}, timeout=left)
        except asyncio.CancelledError:
            held.task.cancel()
            raise
        return self._ended(key, held) if held.task.done() else self._goes_on(key, held)

    def _goes_on(self, key: Key, held: _Held) -> bool:
        lasts = asyncio.get_running_loop().time() - held.began
        if lasts < LIMIT:
            return True
        held.hung = True
        held.task.cancel()
        self._wrong(
            key,
            TimeoutError(f"has not ended for {lasts:.0f} s"),
            f"has not ended for {LIMIT:.0f} s",
        )
        return False

    def _ended(self, key: Key, held: _Held) -> bool:
        if self._held.get(key) is held:
            del self._held[key]
        if held.hung:
            return False  # that is known already; whether it works now, the next time tells
        if held.task.cancelled() and self._closing:
            return True
        if held.task.cancelled():
            return self.note(*key, asyncio.CancelledError("was cancelled"))
        error = held.task.exception()
        if error is not None:
            return self.note(*key, error)
        self.well(*key)
        return True

    # What happens elsewhere: in tasks of their own, and in calls that must not wait

    @contextmanager
    def within(self, part: str, cluster: str) -> Iterator[None]:
        """A block whose error is nobody else's."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - that is what bulkheads are for
            self.note(part, cluster, error)
        else:
            self.well(part, cluster)

    def note(self, part: str, cluster: str, error: BaseException) -> bool:
        """This went wrong. True when it is of the kind that passes: somebody outside does not answer, or refuses."""
        key = (part, cluster)
        if isinstance(error, BotError) and not isinstance(error, LASTING):
            text = str(error)
            if self._is_new(key, text):
                log.warning("%s%s: %s", part, f" of {cluster}" if cluster else "", text)
            return True
        self._wrong(key, error, str(error) if isinstance(error, BotError) else _kind(error))
        return False

    def well(self, part: str, cluster: str) -> None:
        """This works."""
        if (trouble := self._troubles.pop((part, cluster), None)) is not None:
            METRICS.put("openvidu_bot_part_failing", 0, part=part, cluster=cluster)
            if self._is_new((part, cluster), f"well after {trouble.text}"):
                log.info(
                    "%s%s works again; it was: %s",
                    part,
                    f" of {cluster}" if cluster else "",
                    trouble.text,
                )

    def _wrong(self, key: Key, error: BaseException, text: str) -> None:
        part, cluster = key
        METRICS.add("openvidu_bot_part_failures_total", part=part, cluster=cluster)
        METRICS.put("openvidu_bot_part_failing", 1, part=part, cluster=cluster)
        known = self._troubles.get(key)
        if known is not None and known.text == text:
            self._troubles[key] = replace(known, times=known.times + 1)
        else:
            self._troubles[key] = Trouble(
                part, cluster, text, known.since if known else self._clock.now()
            )
        if self._is_new(key, text):
            where = f"{part} of {cluster}" if cluster else part
            log.error(
                "%s: %s; everything else goes on, and this is tried again",
                where,
                text,
                exc_info=error,
            )

    def _is_new(self, key: Key, text: str) -> bool:
        """Whether the log has not been told of it within the hour, also when it worked meanwhile, or failed in another way."""
        now = self._clock.now()
        said = self._said[key] = {
            t: at for t, at in self._said.get(key, {}).items() if 0 <= now - at < SAID_AGAIN
        }
        if text in said:
            return False
        said[text] = now
        return True

    async def aclose(self) -> None:
        """Nothing goes on by itself any more."""
        self._closing = True
        left = [h.task for h in self._held.values() if not h.task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1.0)


async def _whole(work: Work) -> None:
    try:
        await work()
    except SystemExit as error:
        raise RuntimeError(
            f"wanted to end the process ({error.code})"
        ) from error  # asyncio would let it


def _kind(error: BaseException) -> str:
    """Its name and where it came from. Never what it says: that may hold a value, and this is read outside the log."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        f for f in frames if ROOT in Path(f.filename).parents and ".venv" not in f.filename
    ] or frames
    return f"{type(error).__name__}{f' at {Path(ours[-1].filename).name}:{ours[-1].lineno}' if ours else ''}"
