"""Many clusters for years with random failures: the others are not affected."""

import asyncio
import gc
import logging
import os
import random
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType, CoroutineType, FrameType, FunctionType, ModuleType
from typing import Any, TypeVar, cast

import pytest

from bot import app
from bot.app import Bot
from services.common.errors import BadRecord
from services.operations import retention
from services.operations.retention import DAY, RetentionPolicy
from services.runs.run import Run, State
from services.store import Commit, Store
from services.store.sqlite import SqliteStore
from tests.support import virtual
from tests.support.coverage_level import FULL
from tests.support.scene import Scene

T = TypeVar("T")
log = logging.getLogger(__name__)
CLUSTERS, HOURS = (40, 72) if FULL else (4, 15)
ROUND = 20.0  # seconds between rounds here; it tests no other thing, in half the time
BEGINS = datetime(2027, 1, 15, 18, 0, tzinfo=UTC).timestamp()
NIGHTS = {"windows": ["nights Mon-Sun 20:00-07:30 UTC"], "channel": "COPS"}
ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    KeyError,
    AttributeError,
    RecursionError,
    TypeError,
    OSError,
    BadRecord,
)


class Bad:
    """Throws the dice for every call that is about one of the unlucky clusters."""

    def __init__(self, seed: int, unlucky: frozenset[str], chance: float) -> None:
        self._dice = random.Random(seed)
        self.unlucky, self._chance = unlucky, chance
        self.on = False
        self.thrown = 0

    def about(self, *names: str) -> bool:
        """Whether any of these names a cluster that is unlucky."""
        return self.on and any(
            part in self.unlucky for name in names for part in name.replace("-", ":").split(":")
        )

    async def befalls(self, work: Callable[[], Awaitable[T]]) -> Any:
        """It, or an error, or nothing for ever, or something else than it."""
        luck = self._dice.random()
        if luck >= self._chance:
            return await work()
        self.thrown += 1
        kind = self._dice.random()
        if kind < 0.05:
            await asyncio.sleep(1e9)
        if kind < 0.2:
            return self._dice.choice(["garbage", 7, [None], None])
        raise self._dice.choice(ERRORS)("bad luck")

    def part(self, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """A part of the bot that fails once in a while."""

        async def unlucky() -> None:
            if self.on and self._dice.random() < 0.01:
                self.thrown += 1
                raise self._dice.choice(ERRORS)("bad luck")
            await work()

        return unlucky


class BadStore:
    """A state whose records of some clusters are a trap."""

    def __init__(self, store: Store, bad: Bad) -> None:
        self._store, self._bad = store, bad

    async def _do(self, names: tuple[str, ...], work: Callable[[], Awaitable[T]]) -> Any:
        return await (self._bad.befalls(work) if self._bad.about(*names) else work())

    async def get(self, *keys: str) -> list[str | None]:
        found: list[str | None] = await self._do(keys, lambda: self._store.get(*keys))
        return found

    async def commit(self, commit: Commit) -> bool:
        names = (*commit.puts, *commit.checks, *(log for log, _ in commit.appends))
        written: bool = await self._do(names, lambda: self._store.commit(commit))
        return written

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:
        found: list[str] = await self._do((log,), lambda: self._store.read(log, start, count))
        return found

    async def tail(self, log: str, count: int) -> list[str]:
        found: list[str] = await self._do((log,), lambda: self._store.tail(log, count))
        return found

    async def length(self, log: str) -> int:
        found: int = await self._do((log,), lambda: self._store.length(log))
        return found

    async def names(self, start: str) -> list[str]:
        return await self._store.names(start)

    async def logs(self, start: str) -> list[str]:
        return await self._store.logs(start)

    async def tidy(self) -> None:
        await self._store.tidy()

    async def aclose(self) -> None:
        """The state outlives the bot."""


OURS = ("bot", "config", "handlers", "services")


def memory(bot: Bot) -> int:
    """Bytes of everything reachable from the bot without the pretend world."""
    seen, bytes_, ahead = {id(bot)}, 0, [cast("object", bot)]
    while ahead:
        one = ahead.pop()
        bytes_ += sys.getsizeof(one)
        for other in gc.get_referents(one):
            home = str(getattr(type(other), "__module__", "")).partition(".")[0]
            if (
                id(other) not in seen
                and home in (*OURS, "builtins", "collections")
                and not isinstance(other, NOT_KEPT)
            ):
                seen.add(id(other))
                ahead.append(other)
    return bytes_


NOT_KEPT = (type, ModuleType, FunctionType, CodeType, FrameType, CoroutineType)
"""What is there once whatever happens, or only while something is under way."""


def weight(scene: Scene) -> dict[str, int]:
    """Sizes that must not grow; hanging work is held once for each part of a cluster."""
    assert isinstance(scene.store, SqliteStore)
    held = {h.task for bot in scene.bots for h in bot.operations.bulkheads._running.values()}
    (keys,) = scene.store._db.execute("select count(*) from value").fetchone()
    descriptors = len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))
    return {
        "memory": memory(scene.bot),
        "tasks": len(asyncio.all_tasks() - held),
        "descriptors": descriptors,
        "keys": keys,
    }


@pytest.mark.thorough  # tests/laws/test_bulkheads.py holds each part of it at less cost
def test_the_lucky_ones_keep_their_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SWEEP_INTERVAL", ROUND)
    monkeypatch.setattr(retention, "NEWEST", 2)
    stacks = tuple(f"c{n:02}" for n in range(CLUSTERS))
    bad = Bad(7, frozenset(stacks[::3]), 0.08)
    lucky = [s for s in stacks if s not in bad.unlucky]

    async def story() -> None:
        about: dict[str, Any] = {
            "stacks": stacks,
            "media": 1,
            "origin": BEGINS,
            "site": NIGHTS,
            "livekit": False,
            "pydo": False,
        }
        about |= {
            "settings": {"channels": {"COPS": stacks[0]}},
            "reach": lambda store: BadStore(store, bad),
        }
        async with Scene(sqlite=True, **about, start=False) as scene:
            scene.promises = False
            await scene.start_bot()
            bot = scene.bot
            bot.retention._policy = RetentionPolicy(runs=DAY / 4, audit=DAY / 2)
            for name, work in bot.parts.items():
                if name not in ("memory", "alarms"):
                    owner = work.__self__  # type: ignore[attr-defined]
                    setattr(owner, work.__name__, bad.part(work))
            await scene.wait(120)
            bad.on = True
            early = late = weight(scene)
            for hour in range(1, HOURS + 1):
                await scene.wait(3600)
                early = weight(scene) if hour == HOURS * 2 // 3 else early
            late = weight(scene)
            log.warning(
                "%d errors; at two thirds %s; at the end %s", bad.thrown, early, late
            )  # pytest -o log_cli=true shows it
            assert bad.thrown > 100, "it was bad luck"
            for name in lucky:
                await kept_its_hours(scene, name)
            assert late["tasks"] <= early["tasks"] + 3 * len(bad.unlucky), (early, late)
            assert {cluster for _, cluster in bot.operations.bulkheads._running} <= {
                "",
                *bad.unlucky,
            }, bot.operations.bulkheads._running
            assert late["memory"] <= early["memory"] * 1.1 + 20_000 * CLUSTERS, (early, late)
            assert late["descriptors"] <= early["descriptors"] + 5, (early, late)
            assert late["keys"] <= early["keys"] + 12 * CLUSTERS, (early, late)
            troubled = {t.cluster for t in bot.operations.bulkheads.failures} - {""}
            assert troubled <= bad.unlucky, troubled

    virtual.run(story())


def test_what_the_bot_holds_on_to_is_weighed_and_what_the_world_does_is_not() -> None:
    async def story() -> None:
        async with Scene(sqlite=True, media=1) as scene:
            await scene.wait(60)
            before = memory(scene.bot)
            assert before > 20_000
            scene.bot.operations.bulkheads.kept = [f"{n} and more" for n in range(1000)]  # type: ignore[attr-defined]
            assert memory(scene.bot) >= before + 50_000
            del scene.bot.operations.bulkheads.kept  # type: ignore[attr-defined]
            scene.estate.kept = [f"{n} and more" for n in range(1000)]  # type: ignore[attr-defined]
            assert memory(scene.bot) < before + 10_000

    virtual.run(story())


async def kept_its_hours(scene: Scene, name: str) -> None:
    """Closed and opened each night, on time, with both notices; read from Slack."""
    said = [m.text for m in scene.ana.visible_messages("COPS")]
    nights = [n for n in range(HOURS // 24 + 1) if n * 24 + 15 <= HOURS]
    notices = [
        t for t in said if t.startswith(f"{name} closes at 20:00")
    ]  # one 30 minutes before and one 5
    assert len(notices) >= 2 * len(nights), (
        f"{name}: {len(notices)} notices in {len(nights)} nights"
    )
    newest = [await scene.journal.run(r) for r in await scene.journal.latest(name, 2)]
    opened, closed = next(r for r in newest if r.by), next(r for r in newest if not r.by)
    for run, hour in ((opened, 7.5), (closed, 20.0)):
        assert run.state is State.DONE, f"{run.id}: {run.state} {run.stopped}"
        assert lateness(run, hour) <= 2 * ROUND, f"{run.id} began {lateness(run, hour):.0f} s late"
    assert not [t for t in said if t.startswith(f"{name} did not")], "and none was missed"


def lateness(run: Run, hour: float) -> float:
    """Seconds after its hour that a closing began; or that an opening served."""
    moment = run.ended_at if run.by else run.opened_at
    midnight = moment - moment % DAY
    return max(0.0, moment - (midnight + hour * 3600))
