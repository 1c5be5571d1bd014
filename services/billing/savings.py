"""What closing saved in a month: only media nodes that were removed save money, and not always.

DigitalOcean bills a droplet by the second from creation to destruction, at least 60 s and $0.01;
bundled plans for at most 672 hours of a (UTC) month. An always-on droplet of these is free after 28
days: the first 48 to 72 hours of its absence in a month save nothing. And the nodes created after
each night are new droplets, each with its own cap, which it hardly ever reaches. The estimate is
therefore a difference: what the same places would have cost without closing, less what the real
droplets cost.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from services.billing.droplet_hours import (
    CAP,
    CENT,
    Closing,
    FleetSlot,
    Month,
    Stay,
    as_if_cost,
    away,
    bill,
    cents,
    hours,
    month_of,
    places,
    unbilled,
)


@dataclass(frozen=True)
class MastersOff:
    """A time when the masters were powered off.

    `hourly` is the price of all of them: they are billed nevertheless. `capped`: for at most 672
    hours of a month.
    """

    since: float
    until: float | None
    hourly: Decimal
    capped: bool = True


@dataclass(frozen=True)
class KeptUpTime:
    """A time when it stayed up although a window would have closed it.

    `hourly`: the price of all that was up.
    """

    since: float
    until: float | None
    by: str
    hourly: Decimal
    reason: str = ""


@dataclass(frozen=True)
class BillingFacts:
    """What happened on a cluster, as far as the bill depends on it."""

    stays: tuple[Stay, ...] = ()
    closings: tuple[Closing, ...] = ()
    masters_off: tuple[MastersOff, ...] = ()
    kept: tuple[KeptUpTime, ...] = ()


@dataclass(frozen=True)
class KeptUpLine:
    """What one person kept up."""

    by: str
    times: int
    hours: Decimal
    cost: Decimal
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Day:
    """A day (UTC) of the chart, in hours."""

    date: str
    closed: Decimal
    kept: Decimal


@dataclass(frozen=True)
class SavingsReport:
    """A month of a cluster, in US dollars and hours.

    An estimate before tax; `as_if` less `billed` is `saving`, to the cent. `absent`: node-hours of
    removed nodes, of which `free` would not have been billed anyway. `saving` may be below 0: a
    node closed for a few hours is replaced by a second droplet, which loses the first one's cap.
    `masters_off` are hours, and `masters_billed` what these cost: nothing of it was saved.
    `so_far`: the month is not over. `unpriced`: droplets without a known price, and `addresses`:
    hours of IPv4 addresses that are billed separately; neither is in any sum.
    """

    cluster: str
    month: str
    as_if: Decimal
    billed: Decimal
    saving: Decimal
    absent: Decimal
    free: Decimal
    closed: Decimal
    masters_off: Decimal
    masters_billed: Decimal
    kept: tuple[KeptUpLine, ...] = ()
    days: tuple[Day, ...] = ()
    so_far: bool = False
    unpriced: int = 0
    addresses: Decimal = Decimal(0)


def report(cluster: str, year: int, month: int, facts: BillingFacts, now: float) -> SavingsReport:
    """Return the month's report. A month that is not over ends at `now`."""
    span = month_of(year, month, now)
    fleet = places(facts.stays, facts.closings)
    as_if, billed = _bills(facts.stays, fleet, span)
    absent = sum((away(p, span) for p in fleet), Fraction(0))
    off = [(m, span.seconds(m.since, m.until)) for m in facts.masters_off]
    return SavingsReport(
        cluster=cluster,
        month=f"{year}-{month:02}",
        as_if=as_if,
        billed=billed,
        saving=as_if - billed,
        absent=hours(absent),
        free=hours(sum((unbilled(p, span) for p in fleet), Fraction(0))),
        closed=hours(_closed_seconds(facts.closings, span)),
        masters_off=hours(sum((seconds for _, seconds in off), Fraction(0))),
        masters_billed=cents(_masters(off)),
        kept=_kept(facts.kept, span),
        days=_days(facts, span),
        so_far=span.until < span.whole,
        unpriced=sum(1 for s in facts.stays if not s.hourly and span.seconds(s.since, s.until)),
        addresses=hours(
            sum((span.seconds(s.since, s.until) for s in facts.stays if s.apart), Fraction(0))
        ),
    )


class SavedMeter:
    """What was saved between any two moments (US dollars), and for how many hours it was closed.

    It is the difference of the months' reports at the end and at the beginning.
    """

    def __init__(self, facts: BillingFacts) -> None:
        self._facts = facts
        self._places = places(facts.stays, facts.closings)
        self._known: dict[tuple[int, int, float], tuple[Decimal, Decimal]] = {}

    def between(self, since: float, until: float) -> tuple[Decimal, Decimal]:
        """Return the saving and the closed hours."""
        first, last = (datetime.fromtimestamp(moment, UTC) for moment in (since, until))
        saving, closed = self._so_far(last.year, last.month, until)
        before = self._so_far(first.year, first.month, since)
        saving, closed = saving - before[0], closed - before[1]
        year, month = first.year, first.month
        while (year, month) != (last.year, last.month):
            # At the end of the span, the report of an earlier month is that of the whole month.
            whole = self._so_far(year, month, until)
            saving, closed = saving + whole[0], closed + whole[1]
            year, month = year + month // 12, month % 12 + 1
        return saving, closed

    def _so_far(self, year: int, month: int, now: float) -> tuple[Decimal, Decimal]:
        key = (year, month, now)
        if key not in self._known:
            span = month_of(year, month, now)
            closed = hours(_closed_seconds(self._facts.closings, span))
            as_if, billed = _bills(self._facts.stays, self._places, span)
            self._known[key] = (as_if - billed, closed)
        return self._known[key]


def _bills(
    stays: Iterable[Stay], fleet: Iterable[FleetSlot], span: Month
) -> tuple[Decimal, Decimal]:
    """Return what the places would have cost without closing, and what the droplets cost."""
    billed = sum((bill(s, span.seconds(s.since, s.until), span) for s in stays), Fraction(0))
    as_if = sum((as_if_cost(p, span) for p in fleet), Fraction(0))
    return cents(as_if), cents(billed)


def _closed_seconds(closings: Iterable[Closing], span: Month) -> Fraction:
    return sum((span.seconds(c.since, c.until) for c in closings), Fraction(0))


def total(reports: Iterable[SavingsReport]) -> SavingsReport:
    """Return the sum of reports of one month, from the rounded amounts.

    Its days are the mean of theirs.
    """
    listed = list(reports)
    assert listed, "there is something to add up"
    return SavingsReport(
        cluster="",
        month=listed[0].month,
        as_if=_total(r.as_if for r in listed),
        billed=_total(r.billed for r in listed),
        saving=_total(r.saving for r in listed),
        absent=_total(r.absent for r in listed),
        free=_total(r.free for r in listed),
        closed=_total(r.closed for r in listed),
        masters_off=_total(r.masters_off for r in listed),
        masters_billed=_total(r.masters_billed for r in listed),
        kept=_by_person(line for r in listed for line in r.kept),
        days=_means([r.days for r in listed]),
        so_far=any(r.so_far for r in listed),
        unpriced=sum(r.unpriced for r in listed),
        addresses=_total(r.addresses for r in listed),
    )


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def _masters(off: Iterable[tuple[MastersOff, Fraction]]) -> Fraction:
    return sum((_billed(masters, seconds) for masters, seconds in off), Fraction(0))


def _billed(masters: MastersOff, seconds: Fraction) -> Fraction:
    if masters.capped:
        seconds = min(seconds, Fraction(CAP))
    return Fraction(masters.hourly) / 3600 * seconds


def _kept(kept: Iterable[KeptUpTime], span: Month) -> tuple[KeptUpLine, ...]:
    lines = []
    for k in kept:
        seconds = span.seconds(k.since, k.until)
        if not seconds:
            continue
        reasons = (k.reason,) if k.reason else ()
        cost = cents(Fraction(k.hourly) / 3600 * seconds)
        lines.append(KeptUpLine(k.by, 1, hours(seconds), cost, reasons))
    return _by_person(lines)


def _by_person(lines: Iterable[KeptUpLine]) -> tuple[KeptUpLine, ...]:
    """Return one line for each person, the highest cost first."""
    people: dict[str, list[KeptUpLine]] = defaultdict(list)
    for line in lines:
        people[line.by].append(line)
    joined = [
        KeptUpLine(
            by,
            sum(p.times for p in parts),
            _total(p.hours for p in parts),
            _total(p.cost for p in parts),
            tuple(dict.fromkeys(r for p in parts for r in p.reasons)),
        )
        for by, parts in people.items()
    ]
    return tuple(sorted(joined, key=lambda line: (-line.cost, line.by)))


def _days(facts: BillingFacts, span: Month) -> tuple[Day, ...]:
    """Return each day up to now, for the chart."""
    days = []
    since = span.since
    while since < span.until:
        day = Month(since, min(since + 86400, span.until), span.whole)
        away = sum((day.seconds(c.since, c.until) for c in facts.closings), Fraction(0))
        kept = sum((day.seconds(k.since, k.until) for k in facts.kept), Fraction(0))
        days.append(Day(f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d}", hours(away), hours(kept)))
        since += 86400
    return tuple(days)


def _means(months: Sequence[Sequence[Day]]) -> tuple[Day, ...]:
    def mean(hours: Iterable[Decimal]) -> Decimal:
        return (_total(hours) / len(months)).quantize(CENT, ROUND_HALF_UP)

    return tuple(
        Day(days[0].date, mean(d.closed for d in days), mean(d.kept for d in days))
        for days in zip(*months, strict=True)
    )


def day_bars(days: Sequence[Day]) -> str:
    """Return the month as a line of text, for those who cannot see the chart.

    `.` open all day, `1`-`9` tenths of the day closed, `#` closed all day.
    """
    return "".join(map(_bar, days))


def _bar(day: Day) -> str:
    tenths = int(day.closed / Decimal("2.4"))
    if tenths == 0:
        return "."
    return "#" if tenths >= 10 else str(tenths)
