"""How DigitalOcean bills a media droplet, and what the places they fill would have cost had nothing been closed. Exact until rounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

CAP = 672 * 3600
LEAST_SECONDS, LEAST = 60, Decimal("0.01")
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Stay:
    """A real media droplet, from creation to destruction (None: it is still there). `monthly` is its capped price, None if not known.

    An `hourly` of 0 is a price that is not known: such a droplet adds nothing to a sum, and is counted beside it.
    """

    droplet: int
    since: float
    until: float | None
    hourly: Decimal
    monthly: Decimal | None = None
    capped: bool = True  # DigitalOcean's v5 plans have no cap
    apart: bool = False  # its IPv4 address is billed apart, and not part of its price


@dataclass(frozen=True)
class Closing:
    """One closed time as it really went: the droplets that went for it and those that came back in their place, in the same order."""

    name: str
    since: float
    until: float | None
    removed: tuple[int, ...]
    back: tuple[int, ...] = ()


@dataclass(frozen=True)
class Month:
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


def cents(amount: Fraction) -> Decimal:
    """Rounded once, at the end, half a cent upwards."""
    return _rounded(amount, CENT)


def hours(seconds: Fraction) -> Decimal:
    """With two decimals."""
    return _rounded(seconds / 3600, Decimal("0.01"))


def _rounded(exact: Fraction, to: Decimal) -> Decimal:
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(to, ROUND_HALF_UP)


def month_of(year: int, month: int, now: float) -> Month:
    """That month, as far as it has come."""
    since = datetime(year, month, 1, tzinfo=UTC).timestamp()
    whole = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
    return Month(since, max(since, min(whole, now)), whole)


def bill(stay: Stay, seconds: Fraction, span: Month) -> Fraction:
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
class Place:
    """A place in the fleet: the droplets that filled it one after the other, and the times in between when it was closed."""

    stays: tuple[Stay, ...]
    until: float | None  # when it was given up, or closed and not filled again; None: not yet


def places(stays_given: Sequence[Stay], closings: Sequence[Closing]) -> list[Place]:
    """Droplets put in one row when one came back for the other. A row ends where the price changes: that is another droplet then."""
    stays = {s.droplet: s for s in stays_given}
    following = {
        a: b
        for c in closings
        for a, b in zip(c.removed, c.back, strict=False)
        if a in stays and b in stays
    }
    ends = {d: c.until for c in closings for d in c.removed if d in stays and d not in following}
    firsts = [s for s in stays_given if s.droplet not in following.values()]
    return [place for first in firsts for place in _rows(first, stays, following, ends)]


def _rows(
    first: Stay, stays: dict[int, Stay], following: dict[int, int], ends: dict[int, float | None]
) -> list[Place]:
    rows: list[Place] = []
    row = [first]
    while (droplet := following.get(row[-1].droplet)) is not None:
        after = stays[droplet]
        if (after.hourly, after.monthly, after.capped) != (
            row[-1].hourly,
            row[-1].monthly,
            row[-1].capped,
        ):
            rows.append(Place(tuple(row), after.since))
            row = []
        row.append(after)
    last = row[-1].droplet
    return [*rows, Place(tuple(row), ends.get(last, row[-1].until))]


def as_if_cost(place: Place, span: Month) -> Fraction:
    """What one droplet would have cost that stayed in its place all the time."""
    first = place.stays[0]
    return bill(first, span.seconds(first.since, place.until), span)


def away(place: Place, span: Month) -> Fraction:
    """Seconds for which the place was empty because it was closed."""
    there = sum((span.seconds(s.since, s.until) for s in place.stays), Fraction(0))
    return span.seconds(place.stays[0].since, place.until) - there


def unbilled(place: Place, span: Month) -> Fraction:
    """Of the time it was away, what an always-on droplet would not have been billed for."""
    first = place.stays[0]
    over = span.seconds(first.since, place.until) - CAP
    return min(away(place, span), max(Fraction(0), over)) if first.capped else Fraction(0)
