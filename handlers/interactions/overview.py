"""What App Home shows of each cluster: looked at rarely, read from the state often, and open about what could not be read."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from handlers.views.home_tab import ClusterOverview
from services.billing.prices import money, so_far, summed
from services.billing.savings import report
from services.cluster.model import EVERYTHING, Cluster, Fact
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError
from services.operations.reader import ClusterReader
from services.runs.request import Request
from services.schedule.scheduler import WindowScheduler
from services.schedule.wake_up import wakeable
from services.windows import forecast

log = logging.getLogger(__name__)
NEEDS = EVERYTHING - {Fact.SIZES, Fact.LINT}
LOOK_EVERY = 30.0  # seconds between two looks at one cluster, while it changes
LOOK_WITHIN = 60.0
COSTS_EVERY = 900.0  # a month's records are read that seldom
AHEAD = 7 * 86400.0
EDGES = 2  # of what its windows do, after the next one
AT_ONCE = 8
UNREAD = "the bot's memory could not be read"


class ClusterOverviews:
    """The newest glance at each cluster, for everybody who has Home open."""

    def __init__(
        self, reader: ClusterReader, bulkheads: Bulkheads, hours: WindowScheduler, clock: Clock
    ) -> None:
        self._reader = reader
        self._bulkheads = bulkheads
        self._hours = hours
        self._clock = clock
        self._known: dict[str, ClusterOverview] = {}
        self._changed_at: dict[str, float] = {}
        self._stamps: dict[str, object] = {}
        self._months: dict[str, tuple[float, str]] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def known(self, name: str) -> ClusterOverview:
        """What is known of a cluster without looking."""
        return self._known.get(name, ClusterOverview(name))

    def changed(self, name: str) -> None:
        """Something has happened there: what was seen before does not count any more."""
        self._changed_at[name] = self._clock.now()

    async def differs(self, name: str) -> bool:
        """Whether the state store says something else of it than last time, whoever wrote it."""
        try:
            stamp = (await self._reader.stamp(name), tuple(r.id for r in await self._waiting(name)))
        except BotError:
            return False
        before, self._stamps[name] = self._stamps.get(name), stamp
        return before != stamp

    async def _waiting(self, name: str) -> list[Request]:
        return [*await self._reader.waiting(name), *await self._reader.scheduled(name)]

    async def look(self, names: Iterable[str], at_most: float = LOOK_EVERY) -> set[str]:
        """Look at them again, unless they were a moment ago. Returns those whose newest change has not been seen yet."""
        return {n for n in await asyncio.gather(*(self._one(name, at_most) for name in names)) if n}

    async def read(self, names: Iterable[str]) -> None:
        """Ask the state store only: runs, requests and windows are there in no time."""
        for name in names:
            self._known[name] = await self._read(self.known(name))

    async def _one(self, name: str, at_most: float) -> str:
        async with self._gate:
            with self._bulkheads.within("glances", name):
                return await self._look_at(name, at_most)
            self._known[name] = replace(
                self.known(name),
                trouble=("could not be looked at: an error of the bot, its log has more",),
            )
            return ""

    async def _look_at(self, name: str, at_most: float) -> str:
        glance = self.known(name)
        seen = glance.cluster.seen_at if glance.cluster is not None else float("-inf")
        stale = self._clock.now() - seen >= at_most
        if stale:
            glance = await self._see(glance)
        self._known[name] = await self._read(glance)
        return "" if stale or seen > self._changed_at.get(name, 0.0) else name

    async def _see(self, glance: ClusterOverview) -> ClusterOverview:
        """Look at the cluster itself."""
        try:
            async with self._clock.timeout(LOOK_WITHIN):
                cluster = await self._reader.look(glance.name, NEEDS)
        except TimeoutError:
            return replace(
                glance,
                trouble=(
                    f"could not be looked at within {LOOK_WITHIN:.0f} s; {_of(glance.cluster)}",
                ),
            )
        except BotError as error:
            return replace(
                glance, trouble=(f"could not be looked at: {error}; {_of(glance.cluster)}",)
            )
        return replace(glance, cluster=cluster, trouble=())

    async def _read(self, glance: ClusterOverview) -> ClusterOverview:
        """What the state store says: runs, requests, windows, holds, costs."""
        name, reader, now = glance.name, self._reader, self._clock.now()
        unread = tuple(t for t in glance.trouble if not t.startswith(UNREAD))
        try:
            run = await reader.open_run(name)
            waiting, later = tuple(await reader.waiting(name)), tuple(await reader.scheduled(name))
            _, book = await self._hours.books.read(name)
            hours, closed = (
                await self._hours.words(name),
                not wakeable(name, (await self._hours.schedule(name)).due),
            )
            rows = forecast(
                book.windows,
                now,
                now + AHEAD,
                await self._hours.exceptions(name, book),
                await self._hours.terms(name),
            )
            month = await self._month(name, glance.cluster)
        except BotError as error:
            trouble = f"{UNREAD}: {error}; runs, requests and windows may have changed"
            return replace(glance, trouble=(*unread, trouble))
        ahead = tuple(f"{r.what} {r.local}" for r in rows[1 : 1 + EDGES])
        return replace(
            glance,
            run=run,
            progress=reader.progress(run.id) if run else None,
            waiting=waiting,
            later=later,
            closed=closed,
            hours=hours,
            ahead=ahead,
            held=book.exceptions.hold(now) is not None,
            windows=bool(book.windows),
            month=month,
            read=True,
            trouble=unread,
        )

    async def _month(self, name: str, cluster: Cluster | None) -> str:
        """`$212.40 so far this month`: masters by what they cost per hour, media nodes by the records of what was billed."""
        now = self._clock.now()
        at, said = self._months.get(name, (float("-inf"), ""))
        if cluster is None or not cluster.masters or now - at < COSTS_EVERY:
            return said
        facts = await self._hours.usage.facts(name)
        masters = so_far(cluster.masters, now)
        if facts is None:
            media = so_far((n.droplet for n in cluster.media), now)
            said = f"about {money(summed((masters, media)))} so far this month, without media nodes that have gone meanwhile"
        else:
            today = datetime.fromtimestamp(now, UTC)
            made = report(name, today.year, today.month, facts, now)
            saved = f", {money(made.saving)} saved by closing" if made.saving > 0 else ""
            total = money(summed((masters, None if made.unpriced else made.billed)))
            said = f"about {total} so far this month (media {money(made.billed)}, masters {money(masters)}){saved}"
        self._months[name] = (now, said)
        return said


def _of(cluster: Cluster | None) -> str:
    return "what is shown is older" if cluster is not None else "nothing is known of it"
