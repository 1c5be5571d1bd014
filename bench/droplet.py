"""Measures the bot beside Redis on a cheap droplet: one core and 512 MB, for an hour.

The pretend world is outside of it. Its clock is fast, and the bot's with it, so that an hour of
work passes in minutes: what the bot computes is that of the hour.
"""

import asyncio
import contextlib
import shlex
import tempfile
from pathlib import Path

from bench.cgroups import ControlGroup, control_group
from bench.figures import PROCESSOR_TIME, Figure, Unmeasured
from bot.demo.bot_process import BotProcess
from bot.demo.world import OPS, DemoWorld
from services.common.clock import Clock
from services.common.errors import BotError
from services.runs.journal import Journal
from services.runs.run import State
from services.store.redis import RedisStore
from tests.support.real_sockets import running_world
from tests.support.redis import running_redis
from tests.support.tools import redis_server

MEMORY, CORES = 512, 1.0
SPEED, HOUR = 30.0, 3600.0
PEOPLE = ("UANA", "UBEN", "UCARLA", "UDORA")
WORDS = ("status", "runs", "help", "window list", "cost", "scale 4 --dry-run", "window forecast 2d")
ASK_EVERY, LOOK_EVERY = 30.0, 5.0  # seconds of the pretend clock
CARD_WITHIN = 30.0
APPROVED = "shutdown"
CHANGES = (APPROVED, "startup --now", "scale 4 --now", "scale 3 --now")
LEAST_CHANGES = 3


class Droplet:
    """The hour: people who ask, changes one after the other, and what is looked at meanwhile."""

    def __init__(
        self, world: DemoWorld, group: ControlGroup, bot: BotProcess, journal: Journal
    ) -> None:
        self._world, self._group, self._bot, self._journal = world, group, bot, journal
        self._until = world.clock.now() + HOUR
        self.swapped = 0.0
        self.changes = 0

    @property
    def is_over(self) -> bool:
        """Return whether the hour is over. Unmeasured if the bot has ended before."""
        if not self._bot.alive:
            raise Unmeasured(f"the bot has ended on the droplet: {self._bot.log_tail()}")
        return self._world.clock.now() >= self._until

    async def live(self) -> None:
        """Live through the hour. Unmeasured if hardly anything happened in it."""
        meetings = asyncio.create_task(self._world.run_meetings())
        try:
            await asyncio.gather(self._ask(), self._look(), self._change())
        finally:
            meetings.cancel()
        if self.changes < LEAST_CHANGES:
            raise Unmeasured(f"only {self.changes} changes have ended within the hour")

    async def _ask(self) -> None:
        number = 0
        while not self.is_over:
            who = self._world.slack.human(PEOPLE[number % len(PEOPLE)])
            await who.type_text(OPS, f"/openvidu {WORDS[number % len(WORDS)]}")
            number += 1
            await self._world.clock.sleep(ASK_EVERY)

    async def _look(self) -> None:
        while not self.is_over:
            self.swapped = max(self.swapped, self._group.swapped)
            await self._world.clock.sleep(LOOK_EVERY)

    async def _change(self) -> None:
        """Change the cluster again and again: each change begins when the one before has ended."""
        while not self.is_over:
            await self._request(CHANGES[self.changes % len(CHANGES)])
            while not self.is_over and not await self._has_ended(f"acme-{self.changes + 1}"):
                await self._world.clock.sleep(LOOK_EVERY)
            self.changes += not self.is_over

    async def _request(self, words: str) -> None:
        """Request it, and approve it where that is needed."""
        ana, ben = self._world.slack.human("UANA"), self._world.slack.human("UBEN")
        await ana.type_text(OPS, f"/openvidu {words}")
        if words == APPROVED:
            card = await ana.wait_for(
                lambda: next(
                    (m for m in ana.visible_messages(OPS) if "'Approve" in str(m.blocks)), None
                ),
                CARD_WITHIN,
            )
            await ben.press(card, "Approve")

    async def _has_ended(self, run: str) -> bool:
        """Return whether the run is done. Unmeasured where it ended in another way."""
        with contextlib.suppress(BotError):  # it is not open yet
            seen = await self._journal.run(run)
            if seen.over and seen.state is not State.DONE:
                raise Unmeasured(f"{run} on the droplet: {seen.state}, {seen.end_text}")
            return seen.over
        return False


async def measure(group: ControlGroup) -> Droplet:
    """Run both inside the group, and everything else outside."""
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder) / "redis-in-the-group"
        server.write_text(f'#!/bin/sh\nexec {shlex.join(group.command([redis_server()]))} "$@"\n')
        server.chmod(0o700)
        async with (
            running_redis(str(server)) as url,
            running_world(Path(folder), SPEED, redis_url=url) as world,
        ):
            child, store = BotProcess(world.folder / "bot.log"), RedisStore(url)
            await child.start(group.command(world.bot_command()), world.bot_environment())
            try:
                await world.slack.sockets.until(bool)
                hour = Droplet(world, group, child, Journal(store, Clock()))
                await hour.live()
                return hour
            finally:
                await store.aclose()
                await child.stop()


def droplet() -> list[Figure]:
    """Measure the hour beside what the droplet has."""
    with control_group(MEMORY, CORES) as group:
        hour = asyncio.run(measure(group))
        peak, seconds = group.peak, group.processor_seconds
        full, killed = group.times_full, group.killed
    name = f"An hour on a droplet with one core and {MEMORY} MB, beside Redis"
    has = "what the droplet has"
    return [
        Figure(
            name,
            "runs that ended in it",
            hour.changes,
            LEAST_CHANGES,
            "",
            "at least",
            1.0,
            at_least=True,
        ),
        Figure(name, "memory, at most", peak, MEMORY, "MB", has, 1.0, tolerance=PROCESSOR_TIME),
        Figure(name, "times that memory was full", full, 1, "", "once", 0.0, count=True),
        Figure(name, "swapped out, at most", hour.swapped, 1, "MB", "1 MB", 0.0, count=True),
        Figure(name, "killed for want of memory", killed, 1, "", "one process", 0.0, count=True),
        Figure(
            name,
            "processor time",
            seconds,
            HOUR * CORES,
            "s",
            "of its core, in that hour",
            1.0,
            tolerance=PROCESSOR_TIME,
        ),
    ]
