"""What the Home tab shows of each cluster.

A cluster is looked at rarely and the state store read often; what could not be read is named.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from handlers.interactions.run_links import RunLinks
from handlers.views.forecast import forecast_line
from handlers.views.home_tab import COMING, RECENT, ClusterOverview
from handlers.views.schedule import AHEAD, schedule_words
from handlers.views.slo import slo_line
from services.billing.prices import cost_this_month, money, total_price
from services.billing.savings import SavingsReport, report
from services.cluster.certificates import CertificateSeen
from services.cluster.model import EVERYTHING, Cluster, Fact
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError
from services.operations.reader import ClusterReader
from services.runs.request import Request
from services.schedule.scheduler import WindowScheduler
from services.schedule.slo_reader import last_days
from services.schedule.wake_up import wakeable
from services.windows import forecast

log = logging.getLogger(__name__)
NEEDS = EVERYTHING - {Fact.SIZES, Fact.LINT}
LOOK_EVERY = 30.0  # seconds between two looks at one cluster, while it changes
LOOK_WITHIN = 60.0
COSTS_EVERY = 900.0  # seconds between two reads of a month's records
PROMISES_EVERY = 900.0  # seconds between two readings of how promises were kept
PROMISED = 30  # days
CERTIFICATE_EVERY = 900.0  # seconds between two looks at a certificate
AT_ONCE = 8
UNREAD = "The state store could not be read"
NEVER = float("-inf")


class ClusterOverviews:
    """The newest overview of each cluster, for everyone who has the Home tab open."""

    def __init__(
        self,
        reader: ClusterReader,
        bulkheads: Bulkheads,
        scheduler: WindowScheduler,
        clock: Clock,
        links: RunLinks,
    ) -> None:
        self._reader = reader
        self._links = links
        self._bulkheads = bulkheads
        self._scheduler = scheduler
        self._clock = clock
        self._known: dict[str, ClusterOverview] = {}
        self._changed_at: dict[str, float] = {}
        self._stamps: dict[str, object] = {}
        self._promises: dict[str, tuple[float, str]] = {}
        self._months: dict[str, tuple[float, str]] = {}
        self._certificates: dict[str, tuple[float, CertificateSeen | None]] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def known(self, name: str) -> ClusterOverview:
        """Return what is known of a cluster, without looking."""
        return self._known.get(name, ClusterOverview(name))

    def changed(self, name: str) -> None:
        """Note a change: what was seen before it does not count any more."""
        self._changed_at[name] = self._clock.now()

    async def differs(self, name: str) -> bool:
        """Return whether the state store differs from the last time."""
        try:
            stamp = (await self._reader.stamp(name), tuple(r.id for r in await self._waiting(name)))
        except BotError:
            return False
        before, self._stamps[name] = self._stamps.get(name), stamp
        return before != stamp

    async def _waiting(self, name: str) -> list[Request]:
        return [*await self._reader.waiting(name), *await self._reader.scheduled(name)]

    async def look(self, names: Iterable[str], max_age: float = LOOK_EVERY) -> set[str]:
        """Look at clusters again, unless the last look is younger than `max_age` seconds.

        Returns those whose newest change was not seen yet.
        """
        return {n for n in await asyncio.gather(*(self._one(name, max_age) for name in names)) if n}

    async def read(self, names: Iterable[str]) -> None:
        """Read runs, requests and windows from the state store, without looking at clusters."""
        for name in names:
            self._known[name] = await self._read(self.known(name))

    async def _one(self, name: str, max_age: float) -> str:
        async with self._gate:
            with self._bulkheads.contained("glances", name):
                return await self._look_at(name, max_age)
            trouble = "It could not be observed: an error of the bot, its log has more."
            self._known[name] = replace(self.known(name), trouble=(trouble,))
            return ""

    async def _look_at(self, name: str, max_age: float) -> str:
        overview, seen = self.known(name), NEVER
        if overview.cluster is not None:
            seen = overview.cluster.seen_at
        stale = self._clock.now() - seen >= max_age
        if stale:
            overview = await self._see(overview)
        self._known[name] = await self._read(overview)
        if stale or seen > self._changed_at.get(name, 0.0):
            return ""
        return name

    async def _see(self, overview: ClusterOverview) -> ClusterOverview:
        """Look at the cluster itself."""
        try:
            async with self._clock.timeout(LOOK_WITHIN):
                cluster = await self._reader.look(overview.name, NEEDS)
        except TimeoutError:
            trouble = f"It could not be observed within {LOOK_WITHIN:.0f} s"
        except BotError as error:
            trouble = f"It could not be observed: {error}"
        else:
            certificate = await self._certificate(overview.name)
            return replace(overview, cluster=cluster, certificate=certificate, trouble=())
        older = "Nothing is known of it."
        if overview.cluster is not None:
            older = "What is shown is older."
        return replace(overview, trouble=(f"{trouble}. {older}",))

    async def _certificate(self, name: str) -> CertificateSeen | None:
        """Return the certificate of the public address, as of the last quarter of an hour."""
        now = self._clock.now()
        at, seen = self._certificates.get(name, (NEVER, None))
        if now - at >= CERTIFICATE_EVERY:
            seen = await self._reader.clusters.cluster(name).read_certificate()
            self._certificates[name] = (now, seen)
        return seen

    async def _read(self, overview: ClusterOverview) -> ClusterOverview:
        """Add what the state store has: runs, requests, windows, holds, costs."""
        name, reader, scheduler = overview.name, self._reader, self._scheduler
        now = self._clock.now()
        trouble = tuple(t for t in overview.trouble if not t.startswith(UNREAD))
        try:
            run = await reader.open_run(name)
            waiting, later = tuple(await reader.waiting(name)), tuple(await reader.scheduled(name))
            _, book = await scheduler.books.read(name)
            schedule = await scheduler.schedule(name)
            closed = not wakeable(name, schedule.due)
            exceptions = await scheduler.exceptions(name, book)
            terms = await scheduler.terms(name)
            rows = forecast(book.all_windows, now, now + AHEAD, exceptions, terms)
            month = await self._month(name, overview.cluster)
            expected = await self._forecast(name, overview.cluster)
            promises = await self._kept(name)
            recent = tuple((await scheduler.ended_runs(name))[:RECENT])
        except BotError as error:
            unread = f"{UNREAD}: {error}. Runs, requests and windows may have changed."
            return replace(overview, trouble=(*trouble, unread))
        progress, shown = None, [r.id for r in recent]
        if run is not None:
            progress = reader.progress(run.id)
            shown.append(run.id)
        return replace(
            overview,
            run=run,
            progress=progress,
            waiting=waiting,
            later=later,
            closed=closed,
            schedule=schedule_words(schedule, rows),
            coming=rows[:COMING],
            recent=recent,
            links=await self._links.of(shown),
            held=book.exceptions.hold(now) is not None,
            windows=bool(book.all_windows),
            month=month,
            forecast=expected,
            promises=promises,
            read=True,
            trouble=trouble,
        )

    async def _forecast(self, name: str, cluster: Cluster | None) -> str:
        """Return how many media nodes the coming day needs; "" while that is unknown."""
        if cluster is None or cluster.people_per_node is None:
            return ""
        prospect = await self._scheduler.forecast.prospect(name)
        return forecast_line(cluster, prospect, self._clock.now())

    async def _kept(self, name: str) -> str:
        """Return how well promises were kept lately, as of the last quarter of an hour."""
        now = self._clock.now()
        at, line = self._promises.get(name, (NEVER, ""))
        if now - at >= PROMISES_EVERY:
            line = slo_line(await self._scheduler.slo.report(name, last_days(now, PROMISED)))
            self._promises[name] = (now, line)
        return line

    async def _month(self, name: str, cluster: Cluster | None) -> str:
        """Return `about $212.40 this month`; "" while it is unknown.

        Masters by their hourly price, media nodes by the records of what was billed.
        """
        now = self._clock.now()
        at, text = self._months.get(name, (NEVER, ""))
        if cluster is None or not cluster.masters or now - at < COSTS_EVERY:
            return text
        facts = await self._scheduler.usage.facts(name)
        masters = cost_this_month(cluster.masters, now)
        if facts is None:
            media = cost_this_month((n.droplet for n in cluster.separate_media), now)
            total = money(total_price((masters, media)))
            text = f"about {total} this month (excludes deleted media nodes)"
        else:
            today = datetime.fromtimestamp(now, UTC)
            text = _so_far(report(name, today.year, today.month, facts, now), masters)
        self._months[name] = (now, text)
        return text


def _so_far(month: SavingsReport, masters: Decimal | None) -> str:
    total = total_price((month.billed, masters))
    if month.unpriced:
        total = None
    text = f"about {money(total)} this month"
    if month.saving > 0:
        text += f", {money(month.saving)} saved"
    return text
