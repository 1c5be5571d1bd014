"""Which rounds of a bot `make test` leaves out: those of hours in which nothing happens.

A round is left out while no one acts (`Idle.until`) and nothing was changed a moment ago, until the
schedule has to be evaluated, or the last round was LONGEST ago. While things change, every second
one is left out. The first minutes of a long wait, the last ones, and every other run of the tests
have all of them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bot import app
from bot.app import Bot
from services.store import Store
from services.store.keys import schedule_key
from tests.support.crash_injector import CrashInjector

BEGINS, ENDS = 120.0, 300.0
"""Seconds at either end of a wait in which something begins or is about to happen."""
SHORTEST = 600.0
"""A wait shorter than this has all its rounds."""
LINGERS = 20.0
"""Seconds after a change in which the next one is likely."""
HALF = 20.0
"""Seconds between rounds while things change: the scheduler looks further ahead."""
UNEASY = 50.0
"""Seconds between rounds while the schedule waits for something: less than what it calls late."""
LONGEST = 300.0


class Idle:
    """Until when no one acts, in the loop's time."""

    def __init__(self, *, every_round: bool) -> None:
        self.every_round = every_round
        self.until = 0.0

    async def wait(self, seconds: float) -> None:
        """Let time pass in which no one acts."""
        with self.expected(seconds):
            await asyncio.sleep(seconds)

    @contextmanager
    def expected(self, seconds: float) -> Iterator[None]:
        """No one acts until what is waited for has come, or for so many seconds."""
        if self.every_round or seconds < SHORTEST:
            yield
            return
        loop, before = asyncio.get_running_loop(), self.until
        until = loop.time() + seconds - ENDS
        begins = loop.call_later(BEGINS, lambda: setattr(self, "until", max(before, until)))
        try:
            yield
        finally:
            begins.cancel()
            self.until = before


class Rounds:
    """The rounds of one bot."""

    def __init__(self, bot: Bot, life: CrashInjector, store: Store, idle: Idle) -> None:
        self._bot = bot
        self._life = life
        self._store = store
        self._idle = idle
        self._changes = -1
        self._changed = 0.0

    async def run(self) -> None:
        """Run a round at once and then every ten seconds; in `make test` those that matter."""
        if self._idle.every_round:
            await self._bot.keep_running_rounds()
        loop = asyncio.get_running_loop()
        while True:
            await self._bot.run_round()
            ended = loop.time()
            await self._pause()
            while await self._is_idle(loop.time() - ended):
                await self._pause()

    async def _pause(self) -> None:
        await self._bot.adapters.clock.sleep(vars(app)["SWEEP_INTERVAL"])

    async def _is_idle(self, since: float) -> bool:
        """Return whether the round that would begin now is left out."""
        now = asyncio.get_running_loop().time()
        if self._life.changes != self._changes:
            self._changes, self._changed = self._life.changes, now
        if now >= self._idle.until or since >= LONGEST:
            return False
        if self._is_due(since):
            return False
        if since < HALF:
            return True
        if now - self._changed < LINGERS:
            return False
        return since < UNEASY or await self._are_quiet()

    def _is_due(self, since: float) -> bool:
        """Return whether a schedule has to be evaluated again that had not in the last round."""
        now = self._bot.adapters.clock.now()
        untils = (until for _, until in self._bot.scheduler._quiet.values())
        return any(now - since < until <= now for until in untils)

    async def _are_quiet(self) -> bool:
        """Return whether no cluster's schedule has to be evaluated now."""
        scheduler, now = self._bot.scheduler, self._bot.adapters.clock.now()
        for name in self._bot.operations.clusters.driven:
            _, until = scheduler._quiet.get(name, ((), 0.0))
            if until <= now and (await self._store.get(schedule_key(name)))[0] is not None:
                return False
        return not scheduler._ahead
