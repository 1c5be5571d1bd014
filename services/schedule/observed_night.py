"""A closing that a bot that only observes would have made.

Its meetings are those that run when it would begin: LiveKit shows the age of the oldest, so a
meeting that begins later is not taken for one of them. The wait is a lower bound: a closing keeps
`drain.min_serving` nodes in service until the others are empty, and what begins there meanwhile is
waited for too.

The saving is that of the same arithmetic as for real nights: the recorded bill, with the media
nodes removed from the closing to the start-up of each night that was seen throughout.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from services.billing.savings import SavedMeter
from services.cluster.model import Cluster, Load, NodeStatus
from services.memory.observed import NightOutcome, ObservedNight
from services.procedures import Shutdown, fleet
from services.procedures.plan import Plan
from services.schedule.usage import facts_of
from services.windows import Due, Edge

# Seconds without a look after which a night does not count as seen.
LONGEST_GAP = 1800.0
DAY = 86400.0
UNENDED = "its meetings did not end in time"
UNTIL_OPENING = "meetings were still running when it opens"


@dataclass(frozen=True)
class MeetingsNow:
    """The meetings of a cluster. `ages`: `load.longest` is known."""

    load: Load
    ages: bool


def meetings_now(cluster: Cluster) -> MeetingsNow | None:
    """Return what runs, by LiveKit or else by the nodes; None where neither was seen."""
    if isinstance(cluster.load, Load):
        return MeetingsNow(cluster.load, ages=True)
    total = Load(0, 0, 0)
    on = [n for n in cluster.media if n.droplet.active]
    for node in on:
        look = node.look
        if not isinstance(look, NodeStatus):
            return None
        counts = (look.rooms, look.people, look.recordings)
        if not all(isinstance(count, int) for count in counts):
            return None
        total = total.plus(Load(*(int(c) for c in counts if isinstance(c, int))))
    return MeetingsNow(total, ages=False) if on else None


def begun(
    edge: Edge, plan: Plan, cluster: Cluster, opens: Edge | None, now: float
) -> ObservedNight:
    """Return the night of a closing that would begin now with this plan."""
    procedure = plan.procedure
    assert isinstance(procedure, Shutdown), "a closing shuts down"
    seen = meetings_now(cluster)
    night = ObservedNight(
        **_named(edge),
        began=now,
        outcome=NightOutcome.WAITING,
        takes=plan.takes,
        limit=procedure.limit or 0.0,
        gives_up=procedure.gives_up,
        nodes=len(cluster.media),
        saves=fleet.fleet_of(cluster).saves,
        media_only=procedure.media_only,
        opens=opens.at if opens is not None and opens.kind == "open" else 0.0,
        seen=now,
    )
    if seen is None:
        return night
    night = replace(night, rooms=seen.load.rooms, people=seen.load.people)
    return looked(night, seen, now)


def not_begun(edge: Edge, outcome: NightOutcome, why: str, now: float) -> ObservedNight:
    """Return the night of a closing that would not begin."""
    return ObservedNight(**_named(edge), began=now, outcome=outcome, why=why, seen=now)


def asked(edge: Edge, load: object, now: float) -> ObservedNight:
    """Return the night of a closing about which people would be asked first."""
    night = not_begun(edge, NightOutcome.ASKED, "", now)
    if isinstance(load, Load):
        return replace(night, rooms=load.rooms, people=load.people)
    return night


def _named(edge: Edge) -> dict[str, Any]:
    return {
        "edge": edge.name,
        "windows": edge.windows,
        "local": edge.local,
        "zone": edge.zone,
        "at": edge.at,
    }


def looked(night: ObservedNight, seen: MeetingsNow | None, now: float) -> ObservedNight:
    """Return the night after a look at its cluster.

    `seen`: the meetings; None: they were not seen, or are not waited for.
    """
    if night.outcome is NightOutcome.WAITING and seen is None:
        return night
    night = _looked_at(night, now)
    if night.outcome is not NightOutcome.WAITING or seen is None:
        return night
    if not _remain(night, seen, now):
        night = replace(night, exact=night.exact and seen.ages, ended=now)
        return replace(night, outcome=NightOutcome.CLOSED, closed=now + night.takes)
    return out_of_time(night, now)


def out_of_time(night: ObservedNight, now: float) -> ObservedNight:
    """Return a waiting night after its deadlines: people are asked, then it is given up."""
    if now < night.began + night.limit:
        return night
    asks = night.began + night.limit
    if now < asks + night.gives_up:
        return replace(night, asks=asks)
    return replace(night, asks=asks, outcome=NightOutcome.STAYED, why=UNENDED)


def _looked_at(night: ObservedNight, now: float) -> ObservedNight:
    gap = now - night.seen
    if gap <= LONGEST_GAP:
        return replace(night, seen=now)
    return replace(night, seen=now, blind=max(night.blind, gap))


def _remain(night: ObservedNight, seen: MeetingsNow, now: float) -> bool:
    """Return whether any meeting of its beginning still runs."""
    load = seen.load
    if load.rooms and seen.ages:
        return load.longest >= now - night.began
    return not load.idle


def opened(night: ObservedNight, wanted: Due | None, now: float) -> ObservedNight:
    """Return the night at its end: the cluster would be started, or its closing gives way."""
    night = _looked_at(night, now) if now - night.seen > LONGEST_GAP else night
    if night.outcome is NightOutcome.WAITING:
        return replace(night, outcome=NightOutcome.STAYED, why=UNTIL_OPENING)
    edge = wanted.since_edge if wanted is not None else None
    starts, at = now, now
    if edge is not None and edge.kind == "open" and edge.start >= night.began:
        starts, at = edge.start, edge.at
    return replace(night, starts=max(starts, night.closed), opened=max(at, night.closed))


# The bill


def would_be_records(records: Iterable[Any], nights: Iterable[ObservedNight]) -> Iterator[Any]:
    """Yield the usage records that there would be if these nights had been closed.

    A node that was removed comes back as another droplet, as it does in reality.
    """
    moments: list[tuple[float, int, Any]] = []
    for record in records:
        if isinstance(record, dict):
            yield record
        else:
            moments.append((record[0], 0, record))
    for night in filter(_counts, nights):
        moments.append((night.closed, 1, night))
        if night.opened:
            moments.append((night.starts, 2, night))
    newest: list[Any] | None = None
    closed, generation = False, 0
    for at, kind, what in sorted(moments, key=lambda moment: moment[:2]):
        if kind == 0:
            newest = what
        elif kind == 2:
            generation += what.saves
        if kind:
            closed = kind == 1
        if newest is None or (closed and kind == 0):
            continue
        yield _closed(newest, what, generation) if closed else _again(newest, at, generation)


def _counts(night: ObservedNight) -> bool:
    return night.outcome is NightOutcome.CLOSED and night.was_seen and night.closed > 0


def _closed(record: list[Any], night: ObservedNight, generation: int) -> list[Any]:
    _, media, off, *masters = _again(record, night.closed, generation)
    return [night.closed, [] if night.saves else media, off or not night.media_only, *masters]


def _again(record: list[Any], at: float, generation: int) -> list[Any]:
    """Return a record with the droplets that are there after so many closings."""
    if not generation:
        return [at, *record[1:]]
    media = [[_other(m[0], generation), *m[1:3], "", *m[4:]] for m in record[1]]
    return [at, media, *record[2:]]


def _other(droplet: int, generation: int) -> int:
    """Return the id of the droplet in its place; no real id is below 0."""
    return -(int(droplet) * 1000 + generation % 1000)


# The report


def local_day(night: ObservedNight) -> str:
    """Return `Thu 2 Dec`, in the night's own zone."""
    local = datetime.fromtimestamp(night.at, ZoneInfo(night.zone))
    return f"{local:%a} {local.day} {local:%b}"


@dataclass(frozen=True)
class NightLine:
    """One night of a report. `saved`: in US dollars; None: unknown."""

    night: ObservedNight
    saved: Decimal | None = None


@dataclass(frozen=True)
class ObservedReport:
    """What would have been done in a number of days. `saved`: None where the bill is unknown."""

    cluster: str
    days: int
    nights: tuple[NightLine, ...] = ()
    saved: Decimal | None = None
    since: float = 0.0  # when observing began

    def with_outcome(self, *outcomes: NightOutcome) -> list[ObservedNight]:
        """Return its nights with one of these outcomes that were seen throughout."""
        return [
            line.night
            for line in self.nights
            if line.night.outcome in outcomes and line.night.was_seen
        ]

    @property
    def closings(self) -> int:
        """How many times it would have closed."""
        return len(self.with_outcome(NightOutcome.CLOSED))

    @property
    def unseen(self) -> int:
        """How many nights were not seen."""
        return sum(not line.night.was_seen for line in self.nights)

    @property
    def waits(self) -> list[ObservedNight]:
        """Return the nights whose meetings would have been waited for."""
        began = self.with_outcome(NightOutcome.CLOSED, NightOutcome.STAYED)
        return [n for n in began if n.rooms and n.waited > 0]


def _observed_days(days: int, since: float, nights: Sequence[ObservedNight], now: float) -> int:
    """Return how many of these days were observed, at least one."""
    first = min([since or now, *(n.began for n in nights)])
    return max(1, min(days, ceil((now - first) / DAY)))


def report_of(
    cluster: str,
    days: int,
    since: float,
    nights: Sequence[ObservedNight],
    records: Sequence[Any],
    now: float,
) -> ObservedReport:
    """Return the report of the last `days`. `records`: of the usage log, oldest first."""
    begin = now - days * DAY
    days = _observed_days(days, since, nights, now)
    shown = [n for n in nights if n.began >= begin]
    if not any(isinstance(record, list) for record in records):
        return ObservedReport(cluster, days, tuple(NightLine(n) for n in shown), None, since)
    would = SavedMeter(facts_of(would_be_records(records, nights), now))
    real = SavedMeter(facts_of(records, now))

    def saved(start: float, end: float) -> Decimal:
        # Without what was saved anyway: of a cluster that is closed, none of it is this bot's.
        return would.between(start, end)[0] - real.between(start, end)[0]

    lines = []
    for night in shown:
        counts = _counts(night)
        lines.append(NightLine(night, saved(night.began, night.opened or now) if counts else None))
    return ObservedReport(cluster, days, tuple(lines), saved(begin, now), since)
