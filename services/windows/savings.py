"""What closing saved in a month, told honestly: only media nodes that really went save money, and not always.

DigitalOcean bills a droplet by the second from creation to destruction, at most for 672 hours of a (UTC) month, at least for 60 s and
$0.01. So an always-on droplet is free after 28 days: the first 48 to 72 hours it is away from in a month save nothing.
And nodes created anew after each night are droplets of their own, each with a cap of its own that it hardly ever reaches.
The estimate is therefore a difference: what the same places would have cost had nothing been closed, less what the real droplets cost.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

CAP = 672 * 3600
LEAST_SECONDS, LEAST = 60, Decimal("0.01")
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Stay:
    """A real media droplet, from creation to destruction (None: it is still there). `monthly` is its capped price, if known."""

    droplet: int
    since: float
    until: float | None
    hourly: Decimal
    monthly: Decimal | None = None
    capped: bool = True  # DigitalOcean's v5 plans have no cap


@dataclass(frozen=True)
class Closing:
    """One closed time as it really went: the droplets that went for it and those that came back in their place, in the same order."""

    name: str
    since: float
    until: float | None
    removed: tuple[int, ...]
    back: tuple[int, ...] = ()


@dataclass(frozen=True)
class MastersOff:
    """Masters were powered off. `hourly` is what all of them cost together: they are billed all the same."""

    since: float
    until: float | None
    hourly: Decimal
    masters: int = 4


@dataclass(frozen=True)
class Kept:
    """It stayed up although a window would have closed it. `hourly` is what was up together."""

    since: float
    until: float | None
    by: str
    hourly: Decimal
    reason: str = ""


@dataclass(frozen=True)
class Facts:
    """What happened on a cluster, as far as it matters for the bill."""

    stays: tuple[Stay, ...] = ()
    closings: tuple[Closing, ...] = ()
    masters_off: tuple[MastersOff, ...] = ()
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True)
class KeptLine:
    """One person's share of what was kept up."""

    by: str
    times: int
    hours: Decimal
    cost: Decimal
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Day:
    """A day (UTC) of the picture, in hours."""

    date: str
    closed: Decimal
    kept: Decimal


@dataclass(frozen=True)
class Report:
    """A month of a cluster, in US dollars and hours. An estimate before tax; `as_if` less `billed` is `saving`, to the cent.

    `absent` are the node-hours really away; `free` of them would not have been billed anyway. `saving` below 0 is possible and
    said: a node closed for a few hours only starts a second droplet and loses the first one's cap.
    """

    cluster: str
    month: str
    as_if: Decimal
    billed: Decimal
    saving: Decimal
    absent: Decimal
    free: Decimal
    closed: Decimal
    masters_off: Decimal  # hours
    masters_billed: Decimal  # for those hours; nothing of it was saved
    kept: tuple[KeptLine, ...] = ()
    days: tuple[Day, ...] = ()
    so_far: bool = False  # the month is not over

    @property
    def kept_cost(self) -> Decimal:
        return sum((line.cost for line in self.kept), Decimal(0))


@dataclass(frozen=True)
class _Month:
    """A month of the bill, up to now."""

    since: float
    until: float
    whole: float

    def inside(self, since: float, until: float | None) -> tuple[Fraction, Fraction]:
        """That part of a stretch of time which lies in it; empty ones have equal ends."""
        begin = Fraction(max(since, self.since))
        end = Fraction(self.until if until is None else min(until, self.until))
        return begin, max(begin, end)

    def seconds(self, since: float, until: float | None) -> Fraction:
        begin, end = self.inside(since, until)
        return end - begin


def report(cluster: str, year: int, month: int, facts: Facts, now: float) -> Report:
    """The month's report. `now` ends a month that is not over yet."""
    span = _month(year, month, now)
    places = _places(facts)
    billed = cents(sum((_bill(s, span.seconds(s.since, s.until), span) for s in facts.stays), Fraction(0)))
    as_if = cents(sum((_as_if(p, span) for p in places), Fraction(0)))
    absent = sum((_absent(p, span) for p in places), Fraction(0))
    off = [(m, span.seconds(m.since, m.until)) for m in facts.masters_off]
    return Report(
        cluster=cluster,
        month=f"{year}-{month:02}",
        as_if=as_if,
        billed=billed,
        saving=as_if - billed,
        absent=hours(absent),
        free=hours(sum((_free(p, span) for p in places), Fraction(0))),
        closed=hours(sum((span.seconds(c.since, c.until) for c in facts.closings), Fraction(0))),
        masters_off=hours(sum((seconds for _, seconds in off), Fraction(0))),
        masters_billed=cents(_masters(off)),
        kept=_kept(facts.kept, span),
        days=_days(facts, span),
        so_far=span.until < span.whole,
    )


def add_up(reports: Iterable[Report]) -> Report:
    """All clusters together, cent by cent as they are shown apart. They are of one month."""
    listed = list(reports)
    assert listed, "there is something to add up"

    def total(name: str) -> Decimal:
        return sum((getattr(r, name) for r in listed), Decimal(0))

    return Report(
        cluster="",
        month=listed[0].month,
        kept=_by_person(line for r in listed for line in r.kept),
        so_far=any(r.so_far for r in listed),
        **{n: total(n) for n in ("as_if", "billed", "saving", "absent", "free", "closed", "masters_off", "masters_billed")},
    )


def cents(amount: Fraction) -> Decimal:
    """Rounded once, at the end, half a cent upwards."""
    return _rounded(amount, CENT)


def hours(seconds: Fraction) -> Decimal:
    """With two decimals."""
    return _rounded(seconds / 3600, Decimal("0.01"))


def _rounded(exact: Fraction, to: Decimal) -> Decimal:
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(to, ROUND_HALF_UP)


def _month(year: int, month: int, now: float) -> _Month:
    since = datetime(year, month, 1, tzinfo=UTC).timestamp()
    whole = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
    return _Month(since, max(since, min(whole, now)), whole)


def _bill(stay: Stay, seconds: Fraction, span: _Month) -> Fraction:
    """What a droplet costs that was there for so many seconds of the month."""
    if seconds <= 0:
        return Fraction(0)
    rate = Fraction(stay.hourly) / 3600
    if stay.since >= span.since:  # the least is taken once, in the month in which it was created
        seconds = max(seconds, Fraction(LEAST_SECONDS))
    amount = rate * (min(seconds, Fraction(CAP)) if stay.capped else seconds)
    if stay.capped and stay.monthly is not None:
        amount = Fraction(stay.monthly) if seconds >= CAP else min(amount, Fraction(stay.monthly))
    return max(amount, Fraction(LEAST)) if stay.since >= span.since and stay.hourly else amount


@dataclass(frozen=True)
class _Place:
    """A place in the fleet: the droplets that filled it one after the other, and the times in between when it was closed."""

    stays: tuple[Stay, ...]
    until: float | None  # when it was given up, or closed and not filled again


def _places(facts: Facts) -> list[_Place]:
    """Droplets put in one row when one came back for the other. A row ends where the price changes: that is another droplet then."""
    stays = {s.droplet: s for s in facts.stays}
    following = {a: b for c in facts.closings for a, b in zip(c.removed, c.back, strict=False) if a in stays and b in stays}
    ends = {d: c.until for c in facts.closings for d in c.removed if d in stays and d not in following}
    firsts = [s for s in facts.stays if s.droplet not in following.values()]
    return [place for first in firsts for place in _rows(first, stays, following, ends)]


def _rows(first: Stay, stays: dict[int, Stay], following: dict[int, int], ends: dict[int, float | None]) -> list[_Place]:
    rows: list[_Place] = []
    row = [first]
    while (droplet := following.get(row[-1].droplet)) is not None:
        after = stays[droplet]
        if (after.hourly, after.monthly, after.capped) != (row[-1].hourly, row[-1].monthly, row[-1].capped):
            rows.append(_Place(tuple(row), after.since))
            row = []
        row.append(after)
    last = row[-1].droplet
    return [*rows, _Place(tuple(row), ends.get(last, row[-1].until))]


def _as_if(place: _Place, span: _Month) -> Fraction:
    """What one droplet would have cost that stayed in its place all the time."""
    first = place.stays[0]
    return _bill(first, span.seconds(first.since, place.until), span)


def _absent(place: _Place, span: _Month) -> Fraction:
    there = sum((span.seconds(s.since, s.until) for s in place.stays), Fraction(0))
    return span.seconds(place.stays[0].since, place.until) - there


def _free(place: _Place, span: _Month) -> Fraction:
    """Of the time it was away, what an always-on droplet would not have been billed for."""
    first = place.stays[0]
    over = span.seconds(first.since, place.until) - CAP
    return min(_absent(place, span), max(Fraction(0), over)) if first.capped else Fraction(0)


def _masters(off: Iterable[tuple[MastersOff, Fraction]]) -> Fraction:
    return sum((Fraction(m.hourly) / 3600 * min(seconds, Fraction(CAP)) for m, seconds in off), Fraction(0))


def _kept(kept: Iterable[Kept], span: _Month) -> tuple[KeptLine, ...]:
    lines = []
    for k in kept:
        seconds = span.seconds(k.since, k.until)
        if seconds:
            reasons = (k.reason,) if k.reason else ()
            lines.append(KeptLine(k.by, 1, hours(seconds), cents(Fraction(k.hourly) / 3600 * seconds), reasons))
    return _by_person(lines)


def _by_person(lines: Iterable[KeptLine]) -> tuple[KeptLine, ...]:
    """One line for each, the costliest first."""
    people: dict[str, list[KeptLine]] = defaultdict(list)
    for line in lines:
        people[line.by].append(line)
    joined = [
        KeptLine(
            by,
            sum(p.times for p in parts),
            sum((p.hours for p in parts), Decimal(0)),
            sum((p.cost for p in parts), Decimal(0)),
            tuple(dict.fromkeys(r for p in parts for r in p.reasons)),
        )
        for by, parts in people.items()
    ]
    return tuple(sorted(joined, key=lambda line: (-line.cost, line.by)))


def _days(facts: Facts, span: _Month) -> tuple[Day, ...]:
    """Each day up to now, for the picture."""
    days = []
    since = span.since
    while since < span.until:
        day = _Month(since, min(since + 86400, span.until), span.whole)
        away = sum((day.seconds(c.since, c.until) for c in facts.closings), Fraction(0))
        kept = sum((day.seconds(k.since, k.until) for k in facts.kept), Fraction(0))
        days.append(Day(f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d}", hours(away), hours(kept)))
        since += 86400
    return tuple(days)


def bars(days: Sequence[Day]) -> str:
    """The month as a line of text, for those who cannot see the picture: `.` open all day, `1`-`9` tenths closed, `#` all day."""
    tenths = [int(d.closed / Decimal("2.4")) for d in days]
    return "".join("#" if n >= 10 else "." if n == 0 else str(n) for n in tenths)
