"""The demand that is expected, from what was counted in earlier weeks. Pure.

By weekday and quarter of an hour, in the cluster's time zone. What was not counted is unknown and
never zero: a cluster that was closed, or did not answer, says nothing about its demand.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from statistics import median
from zoneinfo import ZoneInfo

from services.cluster.scaling import MOST_CHANGES, ScalingPermission
from services.common.text import count_of

QUARTER, QUARTERS = 900.0, 96
HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0
# Weeks that are used, the newest ones; and how many of them a forecast takes at least.
WEEKS, LEAST_WEEKS = 8, 3
SHARE = 0.95
# By how much demand may grow or shrink from week to week, and the weeks that show a growth.
SHRINKS, GROWS, GROWTH_WEEKS = 0.9, 1.15, 4
# Seconds ahead for which nodes must be in service, and for which nodes that go must not be needed.
UP_AHEAD, DOWN_AHEAD = 1800.0, 4500.0
# More people than are counted now may come until a node is added.
HEADROOM = 1.2
# By UTC date, for each quarter of an hour: the most people and meetings; None: not counted.
QuarterCounts = Mapping[str, Sequence[Sequence[int] | None]]


def noted(
    before: QuarterCounts, at: float, people: int, meetings: int, keep: float
) -> QuarterCounts:
    """Return the counts with one more, without days that are older than `keep` seconds."""
    oldest = f"{datetime.fromtimestamp(at - keep, UTC):%Y-%m-%d}"
    days = {day: list(quarters) for day, quarters in before.items() if day >= oldest}
    moment = datetime.fromtimestamp(at, UTC)
    day = days.setdefault(f"{moment:%Y-%m-%d}", [None] * QUARTERS)
    place = moment.hour * 4 + moment.minute // 15
    most_people, most_meetings = day[place] or (0, 0)
    day[place] = [max(most_people, people), max(most_meetings, meetings)]
    return days


@dataclass(frozen=True)
class Demand:
    """What is expected in one quarter of an hour: people, meetings; and from how many weeks."""

    people: int
    meetings: int
    weeks: int


# A weekday (Monday is 0) and a quarter of an hour of the local day.
Slot = tuple[int, int]


@dataclass(frozen=True)
class _Sample:
    """One counted quarter: how many weeks before the coming one, and what was counted."""

    weeks_ago: int
    people: int
    meetings: int


@dataclass(frozen=True)
class DemandForecast:
    """The p95 by weekday and quarter of an hour.

    `growth`: the factor from week to week; 1 where too few weeks show one. `days_off`: holidays
    that were left out.
    """

    zone: str
    samples: Mapping[Slot, Sequence[_Sample]]
    growth: float = 1.0
    days_off: int = 0
    _slots: dict[Slot, Demand | None] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def weeks(self) -> int:
        """Return from how many weeks it is made."""
        return len({s.weeks_ago for seen in self.samples.values() for s in seen})

    def at(self, moment: float) -> Demand | None:
        """Return the demand of the quarter of that moment; None: unknown."""
        return self.slot(_slot(datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(self.zone))))

    def slot(self, slot: Slot) -> Demand | None:
        """Return the demand of a quarter of the week; None where too few weeks show it.

        Meetings begin some minutes earlier or later: the quarters beside it count too.
        """
        if slot not in self._slots:
            self._slots[slot] = self._demand(slot)
        return self._slots[slot]

    def _demand(self, slot: Slot) -> Demand | None:
        seen = self.samples.get(slot, ())
        weeks = len({s.weeks_ago for s in seen})
        if weeks < LEAST_WEEKS:
            return None
        near = [seen for beside in _neighbours(slot) for seen in self.samples.get(beside, ())]
        people = [s.people * self.growth**s.weeks_ago for s in near]
        meetings = [s.meetings * self.growth**s.weeks_ago for s in near]
        return Demand(math.ceil(_p95(people)), math.ceil(_p95(meetings)), weeks)

    def people_seen(self, slot: Slot) -> list[float]:
        """Return the people that were counted in this quarter of each week, with the growth."""
        return [s.people * self.growth**s.weeks_ago for s in self.samples.get(slot, ())]

    def slot_of(self, moment: float) -> Slot:
        """Return the quarter of the week that a moment lies in."""
        return _slot(datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(self.zone)))


def demand_forecast(
    counts: QuarterCounts, zone: str, now: float, is_day_off: Callable[[date], bool] | None = None
) -> DemandForecast:
    """Return the forecast from the days before today. Days off say nothing about other days."""
    local = ZoneInfo(zone)
    today = datetime.fromtimestamp(now, UTC).astimezone(local).date()
    samples: defaultdict[Slot, list[_Sample]] = defaultdict(list)
    days_off: set[date] = set()
    for day, quarters in sorted(counts.items()):
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
        for place, seen in enumerate(quarters):
            if seen is None:
                continue
            moment = (begin + timedelta(minutes=15 * place)).astimezone(local)
            weeks_ago = -(-(today - moment.date()).days // 7)
            if not 1 <= weeks_ago <= WEEKS:
                continue
            if is_day_off is not None and is_day_off(moment.date()):
                days_off.add(moment.date())
                continue
            samples[_slot(moment)].append(_Sample(weeks_ago, seen[0], seen[1]))
    return DemandForecast(zone, samples, _growth(samples), len(days_off))


def _slot(moment: datetime) -> Slot:
    return moment.weekday(), moment.hour * 4 + moment.minute // 15


def _neighbours(slot: Slot) -> Iterator[Slot]:
    """Yield the quarter and those beside it, also across midnight."""
    day, quarter = slot
    for by in (-1, 0, 1):
        place = (day * QUARTERS + quarter + by) % (7 * QUARTERS)
        yield place // QUARTERS, place % QUARTERS


def _p95(values: Sequence[float]) -> float:
    """Return the value that 95% of all values do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(SHARE * len(values)) - 1]


def _growth(samples: Mapping[Slot, Sequence[_Sample]]) -> float:
    """Return the factor from week to week: the median over neighbouring weeks, within limits.

    Each pair of weeks is compared over the quarters that were counted in both.
    """
    newer: defaultdict[int, int] = defaultdict(int)
    older: defaultdict[int, int] = defaultdict(int)
    for seen in samples.values():
        by_week = {s.weeks_ago: s.people for s in seen}
        for week, people in by_week.items():
            if week + 1 in by_week:
                newer[week] += people
                older[week] += by_week[week + 1]
    ratios = [newer[week] / older[week] for week in older if older[week] > 0 and newer[week] > 0]
    if len(ratios) + 1 < GROWTH_WEEKS:
        return 1.0
    return min(GROWS, max(SHRINKS, median(ratios)))


def nodes_for(people: float, per_node: int) -> int:
    """Return how many media nodes bear so many people; at least one."""
    return max(1, math.ceil(people / per_node))


# What is proposed


@dataclass(frozen=True)
class Peak:
    """The busiest quarter of a span: when, what is expected, and how many nodes bear it."""

    at: float
    demand: Demand
    nodes: int


@dataclass(frozen=True)
class Proposal:
    """A number of media nodes for a span of time, and how often it would not have been enough.

    `seen`: quarters that were counted in earlier weeks at these times. `over`: those in which more
    people met than that number bears; `over_now`: than the present number does. `known`, `unknown`:
    quarters of the span. `node_hours`: if nodes followed the forecast, for the known quarters.
    """

    peak: Peak
    per_node: int
    seen: int
    over: int
    over_now: int
    known: int
    unknown: int
    node_hours: float

    @property
    def number(self) -> int:
        """Return how many media nodes are proposed."""
        return self.peak.nodes


def propose(
    forecast: DemandForecast, per_node: int, now_nodes: int, since: float, until: float
) -> Proposal | None:
    """Return the number of nodes for a span; None where all of it is unknown."""
    moments = list(quarters(since, until))
    expected = [(at, demand) for at in moments if (demand := forecast.at(at)) is not None]
    if not expected:
        return None
    at, most = max(expected, key=lambda pair: pair[1].people)
    peak = Peak(at, most, nodes_for(most.people, per_node))
    slots = {forecast.slot_of(at) for at, _ in expected}
    people = [p for slot in slots for p in forecast.people_seen(slot)]
    return Proposal(
        peak,
        per_node,
        len(people),
        sum(p > peak.nodes * per_node for p in people),
        sum(p > now_nodes * per_node for p in people),
        len(expected),
        len(moments) - len(expected),
        sum(nodes_for(demand.people, per_node) for _, demand in expected) / 4,
    )


def weekday_peaks(
    forecast: DemandForecast, per_node: int
) -> tuple[tuple[int, int, Demand, int] | None, ...]:
    """Return for each weekday its busiest quarter: weekday, quarter, demand, nodes.

    None where all of it is unknown.
    """
    return tuple(_peak_of_day(forecast, day, per_node) for day in range(7))


def _peak_of_day(
    forecast: DemandForecast, day: int, per_node: int
) -> tuple[int, int, Demand, int] | None:
    known = [(q, d) for q in range(QUARTERS) if (d := forecast.slot((day, q))) is not None]
    if not known:
        return None
    quarter, demand = max(known, key=lambda pair: pair[1].people)
    return day, quarter, demand, nodes_for(demand.people, per_node)


def quarters(since: float, until: float) -> Iterator[float]:
    """Yield the beginnings of the quarters that a span touches."""
    at = since - since % QUARTER
    while at < until:
        yield at
        at += QUARTER


# What is done under a standing permission


@dataclass(frozen=True)
class Wanted:
    """How many nodes are wanted now; None where nothing is to be done, and why."""

    number: int | None
    why: str


def nodes_ahead(
    forecast: DemandForecast,
    allowed: ScalingPermission,
    per_node: int,
    price: Decimal | None,
    now: float,
    people: int,
    nodes: int,
    closes: float = math.inf,
    left: int = MOST_CHANGES,
) -> Wanted:
    """Return the number of nodes that the permission and the forecast want at this moment.

    More before they are needed; fewer once they are not needed for a while. Unknown demand changes
    nothing, nor does a number that people set outside the permission. `people`: counted just now,
    who never have to fit into fewer nodes than they need. `closes`: when a window closes the
    cluster, after which no demand counts. `left`: changes of the quota; the last one adds nodes.
    """
    if price is None or price <= 0:
        return Wanted(None, "the price of a media node is unknown")
    cap = allowed.cap(price)
    if not allowed.least <= nodes <= cap:
        span = f"{allowed.least} to {cap}"
        return Wanted(None, f"it has {nodes} media nodes, and the permission is for {span}")
    soon = _most_people(forecast, now, min(now + UP_AHEAD, closes))
    later = _most_people(forecast, now, min(now + DOWN_AHEAD, closes))
    if soon is None or later is None:
        return Wanted(None, "the demand of the next hour is unknown")
    people = math.ceil(people * HEADROOM)
    needed = nodes_for(max(soon, people), per_node)
    stays = nodes_for(max(later, people), per_node)
    if left < 1:
        return Wanted(None, f"all {count_of(allowed.changes, 'change')} of 24 hours are used")
    if needed > nodes:
        number = min(cap, stays)
        short = f", {stays} would be needed" if number < stays else ""
        if number <= nodes:
            return Wanted(None, f"the permission allows {cap} media nodes{short}")
        return Wanted(number, f"{max(soon, people)} people expected soon, {per_node} a node{short}")
    number = max(allowed.least, stays)
    if number < nodes and left < 2:
        return Wanted(None, "the last change of 24 hours is kept for adding nodes")
    if number < nodes:
        return Wanted(number, f"{max(later, people)} people expected at most")
    return Wanted(None, "the number of media nodes is right")


def _most_people(forecast: DemandForecast, since: float, until: float) -> int | None:
    """Return the most people expected in a span; None if a part of it is unknown."""
    expected = [forecast.at(at) for at in quarters(since, until)]
    known = [demand.people for demand in expected if demand is not None]
    if len(known) < len(expected) or not known:
        return None
    return max(known)
