"""Finds what clusters pay for without use: looks every few hours, and reports once a week."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from services.billing.prices import hourly
from services.billing.savings import BillingFacts
from services.billing.waste import WASTE_FACTS, OpenNight, WasteReport, noted, report_of
from services.cluster.leftovers import WasteNotes
from services.cluster.model import Cluster, FleetKind
from services.common.clock import Clock
from services.common.errors import BotError
from services.common.values import replace
from services.memory.schedule import Book
from services.operations.assembly import Operations
from services.schedule.edge_announcements import DECIDED
from services.schedule.usage import UsageRecorder
from services.windows import closures

PART = "unused resources"
# Seconds between two looks, and between two attempts after one that failed.
EVERY, AGAIN = 6 * 3600.0, 900.0
# Clusters of one round: listings of an account take the time of its rate limit.
AT_ONCE = 2
WEEK = 7 * 86400.0
# A closing time counts when nearly nothing of it was closed.
NEARLY_ALL = 0.9
DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class WasteTime:
    """When the report is sent: a day of the week, and minutes after local midnight."""

    day: int = 0
    at: int = 9 * 60
    zone: str = "UTC"

    def newest(self, now: float) -> tuple[str, float]:
        """Return the newest such time until now: its date, and the moment."""
        zone = ZoneInfo(self.zone)
        local = datetime.fromtimestamp(now, zone)
        date = local.date() - timedelta(days=(local.weekday() - self.day) % 7)
        moment = datetime.combine(date, time(self.at // 60, self.at % 60), zone)
        if moment.timestamp() > now:
            date -= timedelta(days=7)
            moment = datetime.combine(date, time(self.at // 60, self.at % 60), zone)
        return f"{date}", moment.timestamp()


class WasteFinder:
    """Looks for unused resources of every cluster, and keeps since when each is unused."""

    def __init__(self, operations: Operations, usage: UsageRecorder, clock: Clock) -> None:
        self._clusters = operations.clusters
        self._reader = operations.reader
        self._memory = operations.memory
        self._bulkheads = operations.bulkheads
        self._usage = usage
        self._clock = clock
        # Those whose settings want reports; others are looked at when a person asks.
        self.watched: frozenset[str] = frozenset()
        self._due: dict[str, float] = {}

    async def tick(self) -> None:
        """Look at each cluster that is due. What goes wrong with one holds up no other."""
        now = self._clock.now()
        due = [
            name
            for name in self._clusters.driven
            if name in self.watched and self._due.get(name, now) <= now
        ][:AT_ONCE]
        await self._bulkheads.run_each(PART, due, self._look)

    async def _look(self, name: str) -> None:
        self._due[name] = self._clock.now() + AGAIN
        await self._observe(name)
        self._due[name] = self._clock.now() + EVERY

    async def _observe(self, name: str) -> Cluster:
        """Look at a cluster, and note what is unused from now on."""
        cluster = await self._reader.look(name, WASTE_FACTS)
        steady = await self._reader.open_run(name) is None
        notes = await self._memory.waste.edit(name, partial(_noted, cluster, steady=steady))
        return replace(cluster, waste_notes=notes)

    async def report(self, name: str, *, asked: bool = False) -> WasteReport:
        """Return what is found now. What could not be read is in the report, as unknown."""
        try:
            cluster = await self._observe(name)
        except BotError as error:
            return WasteReport(name, unknown=(f"the account: {error}",))
        nights: tuple[OpenNight, ...] = ()
        unknown: tuple[str, ...] = ()
        try:
            _, book = await self._memory.books.read(name)
            nights = tuple(self._nights(cluster, book, await self._usage.facts(name)))
        except BotError as error:
            unknown = (f"the closing times of last week: {error}",)
        return report_of(cluster, nights, unknown, asked=asked)

    def _nights(
        self, cluster: Cluster, book: Book, facts: BillingFacts | None
    ) -> Iterable[OpenNight]:
        """Yield the closing times of last week in which the cluster stayed up."""
        saves = cluster.kind in (FleetKind.POOL, FleetKind.AUTOSCALER)
        if facts is None or not saves or not facts.stays:
            return
        now = self._clock.now()
        price = hourly(cluster).media
        for closure in closures(book.windows, now - WEEK, now)[0]:
            since, until = float(closure.close), float(closure.open)
            names = [
                f"{o.window.name}-close@{o.close_local:%Y-%m-%dT%H:%M}" for o in closure.occurrences
            ]
            if since < now - WEEK or until > now or not _was_due(book, names):
                continue
            closed = sum(_overlap(since, until, c.since, c.until, now) for c in facts.closings)
            if closed > (1 - NEARLY_ALL) * (until - since):
                continue
            keepers = [
                k.by for k in facts.kept if _overlap(since, until, k.since, k.until, now) > 0
            ]
            cost = None
            if price is not None:
                cost = price * int(until - since) / 3600
            yield OpenNight(since, until, cost, keepers[0] if keepers else "")


def _was_due(book: Book, names: Iterable[str]) -> bool:
    """Return whether nothing came of the closing: it was missed, not skipped or put off."""
    missed = [name for name in names if f"{name}/missed" in book.done]
    return bool(missed) and not any(f"{name}{DECIDED}" in book.done for name in missed)


def _noted(cluster: Cluster, notes: WasteNotes, *, steady: bool) -> WasteNotes:
    return noted(replace(cluster, waste_notes=notes), steady=steady)


def _overlap(since: float, until: float, begin: float, end: float | None, now: float) -> float:
    return max(0.0, min(until, now if end is None else end) - max(since, begin))
