"""Scales by the forecast, within the permission that a person gave.

A run is opened in the commit that writes the change down, so that of two bots one opens it and no
quota is exceeded. What is unknown changes nothing: demand, meetings, prices, nodes.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from types import MappingProxyType

from services.access.policy import FORECAST, Actor
from services.billing.demand import DemandForecast, Wanted, demand_forecast, nodes_ahead
from services.cluster.model import Cluster, Fact, Load
from services.cluster.scaling import ScalingChange, ScalingNotes
from services.common.clock import Clock
from services.common.errors import BadRecord, BotError, Refused
from services.common.markers import WARNING, strong
from services.memory.scaling import write_scaling
from services.memory.schedule import Announcement, Book
from services.operations.assembly import Operations
from services.operations.opening import ForecastAuthority, Opening
from services.procedures import Scale
from services.procedures.plan import make_plan
from services.runs.authorization import Authorization, of_run
from services.store.keys import scaling_key
from services.windows import due

log = logging.getLogger(__name__)
PART = "forecast"
EVERY = 60.0
FORECAST_EVERY = 3600.0
# Seconds before a closing in which nothing is scaled: it would wait for the run.
UP_TAKES, DRAIN_TAKES = 1200.0, 9000.0
NEEDS = Scale.required_facts


@dataclass(frozen=True)
class Prospect:
    """What the forecast says about one cluster now, as its card shows it."""

    forecast: DemandForecast
    notes: ScalingNotes
    closes: float
    # What came of the last evaluation under the permission; "" while there was none.
    last: str = ""


class ForecastKeeper:
    """Looks after the clusters that may be scaled by the forecast. `zones`: of each cluster."""

    def __init__(
        self, operations: Operations, clock: Clock, zones: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._operations = operations.service
        self._clusters = operations.clusters
        self._reader = operations.reader
        self._journal = operations.journal
        self._memory = operations.memory
        self._meetings = operations.meetings
        self._bulkheads = operations.bulkheads
        self._clock = clock
        self._zones = zones
        self._looked: dict[str, float] = {}
        self._forecasts: dict[str, tuple[float, DemandForecast]] = {}
        # By cluster: what came of the last evaluation, for people who ask.
        self.last: dict[str, str] = {}

    async def tick(self) -> None:
        """Evaluate every cluster. What goes wrong with one holds up no other."""
        if not self._clusters.observes:
            await self._bulkheads.run_each(PART, self._clusters.driven, self._keep, together=True)

    def forget(self, _: object = None) -> None:
        """Drop everything that was read from the state: the state is lost."""
        self._looked.clear()
        self._forecasts.clear()
        self.last.clear()

    async def _keep(self, name: str) -> None:
        now = self._clock.now()
        if now - self._looked.get(name, -math.inf) < EVERY:
            return
        self._looked[name] = now
        text, notes = await self._memory.scaling.stored(name)
        if notes.permission is None:
            return
        if now > notes.permission.until:
            await self._expired(name, notes)
            return
        try:
            self.last[name] = await self._evaluate(name, text, notes)
        except BotError as error:
            self.last[name] = str(error)
            log.info("%s of %s: %s", PART, name, error)

    async def prospect(self, name: str) -> Prospect:
        """Return the forecast of a cluster, with its permission and its next closing."""
        _, notes = await self._memory.scaling.stored(name)
        _, book = await self._memory.books.read(name)
        forecast = await self._forecast(name, book)
        return Prospect(forecast, notes, self._closes(book), self.last.get(name, ""))

    async def _forecast(self, name: str, book: Book) -> DemandForecast:
        now = self._clock.now()
        made, forecast = self._forecasts.get(name, (-math.inf, None))
        if forecast is None or now - made >= FORECAST_EVERY:
            counts = await self._meetings.quarters(name)
            zone = self._zones.get(name, "UTC")
            forecast = demand_forecast(counts, zone, now, _days_off(book))
            self._forecasts[name] = (now, forecast)
        return forecast

    def _closes(self, book: Book) -> float:
        """Return when a window closes it next; infinity for never."""
        if not book.all_windows:
            return math.inf
        edge = due(book.all_windows, self._clock.now(), book.exceptions).next_edge
        return edge.start if edge is not None and edge.kind == "close" else math.inf

    async def _evaluate(self, name: str, text: str | None, notes: ScalingNotes) -> str:
        """Do what is wanted now; return it in words. Refused with what is in the way."""
        assert notes.permission is not None
        run = await self._reader.open_run(name)
        if run is not None:
            raise Refused(f"{name} is locked by {run.id} ({run.plan.procedure.command_line()})")
        _, book = await self._memory.books.read(name)
        closes, now = self._closes(book), self._clock.now()
        if closes - now < UP_TAKES:
            raise Refused("a window closes it soon")
        cluster = await self._reader.look(name, NEEDS)
        wanted = self._wanted(cluster, notes, await self._forecast(name, book), closes)
        if wanted.number is None:
            return wanted.why
        down = wanted.number < len(cluster.members)
        if down and closes - now < DRAIN_TAKES:
            raise Refused("a window closes it before its nodes can be drained")
        await self._open(cluster, wanted, text, notes)
        return f"scaled to {wanted.number}: {wanted.why}"

    def _wanted(
        self, cluster: Cluster, notes: ScalingNotes, forecast: DemandForecast, closes: float
    ) -> Wanted:
        assert notes.permission is not None
        if cluster.problem or not cluster.is_up:
            return Wanted(None, cluster.problem or "it is not in service")
        if cluster.pool is None or not isinstance(cluster.load, Load):
            return Wanted(None, "its media nodes or its meetings are unknown now")
        if cluster.missing_facts_reason(frozenset({Fact.DROPLETS, Fact.POOL, Fact.LOAD})):
            return Wanted(None, "its media nodes or its meetings are unknown now")
        if cluster.pool.target != len(cluster.members):
            return Wanted(None, "its pool is changing its number of media nodes")
        if cluster.people_per_node is None:
            return Wanted(None, "the setting `people_per_node` is missing")
        return nodes_ahead(
            forecast,
            notes.permission,
            cluster.people_per_node,
            cluster.media_price,
            self._clock.now(),
            cluster.load.people,
            len(cluster.members),
            closes,
            notes.permission.changes - notes.used(self._clock.now()),
        )

    async def _open(
        self, cluster: Cluster, wanted: Wanted, text: str | None, notes: ScalingNotes
    ) -> None:
        assert wanted.number is not None
        assert notes.permission is not None
        name, now, key = cluster.name, self._clock.now(), scaling_key(cluster.name)
        number = wanted.number
        plan = make_plan(cluster, Scale(number))
        if plan.is_empty:
            return

        def puts(run: str) -> dict[str, str | None]:
            return {key: write_scaling(notes.with_change(ScalingChange(now, number, run)), text)}

        given = await self._given(notes.permission.run)
        authority = ForecastAuthority(notes, cluster.media_price, given, {key: text}, puts)
        actor = Actor(user=f"{FORECAST}{name}", name="forecast")
        reason = f"forecast: {wanted.why}"
        await self._operations.open_at_edge(
            actor, Opening(plan, actor, reason, authority=authority)
        )

    async def _given(self, run: str) -> Authorization | None:
        """Return the approval of the run that added it, with its people as they are now."""
        try:
            given = of_run(await self._journal.run(run))
        except (Refused, BadRecord):
            return None
        people = [await self._reader.current(a) for a in given.approvers]
        return replace(given, approvers=tuple(people))

    async def _expired(self, name: str, notes: ScalingNotes) -> None:
        """Post once that the permission has expired: from then on nothing is scaled by it."""
        assert notes.permission is not None
        self.last[name] = "the permission has expired"
        text = (
            f"{WARNING} {strong(f'{name} is no longer scaled by the forecast')}: the permission "
            "has expired. Its number of media nodes stays as it is. Remedy: "
            "[[command forecast]] shows it, [[command forecast allow]] renews it"
        )
        message = Announcement(f"forecast-expired/{notes.permission.until:.0f}", text, calls=True)
        await self._memory.books.edit(name, partial(Book.with_announcement, announcement=message))


def _days_off(book: Book) -> Callable[[date], bool]:
    """Return whether a date is a day off: named by people, or a holiday of a calendar."""
    days_off = book.exceptions.days_off
    dates = days_off.named | {holiday.date for holiday in days_off.holidays}
    return lambda day: day.isoformat() in dates
