"""How DigitalOcean bills media droplets, and what they would have cost without any closing.

Amounts are exact fractions until they are rounded.
"""

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
    """A media droplet, from creation to destruction (None: it still exists).

    `monthly` is its capped price, None if unknown. An `hourly` of 0 is an unknown price: such a
    droplet adds nothing to a sum, and is counted separately. `capped`: false for DigitalOcean's v5
    plans. `apart`: its IPv4 address is billed separately.
    """

    droplet: int
    since: float
    until: float | None
    hourly: Decimal
    monthly: Decimal | None = None
    capped: bool = True
    apart: bool = False


@dataclass(frozen=True)
class Closing:
    """One closed time as it happened.

    The droplets that were removed, and their replacements in the same order.
    """

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
        """Return the part of a stretch of time that lies in the month.

        An empty one has equal ends.
        """
        begin = Fraction(max(since, self.since))
        end = self.until
        if until is not None:
            end = min(until, self.until)
        return begin, max(begin, Fraction(end))

    def seconds(self, since: float, until: float | None) -> Fraction:
        """Return how many seconds of a stretch of time lie in the month."""
        begin, end = self.inside(since, until)
        return end - begin


def cents(amount: Fraction) -> Decimal:
    """Return dollars with cents, half a cent rounded up. Rounded once, at the end."""
    return _rounded(amount, CENT)


def hours(seconds: Fraction) -> Decimal:
    """Return hours with two decimals."""
    return _rounded(seconds / 3600, Decimal("0.01"))


def _rounded(exact: Fraction, to: Decimal) -> Decimal:
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(to, ROUND_HALF_UP)


def month_of(year: int, month: int, now: float) -> Month:
    """Return that month (UTC), up to `now`."""
    since = datetime(year, month, 1, tzinfo=UTC).timestamp()
    whole = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
    return Month(since, max(since, min(whole, now)), whole)


def bill(stay: Stay, seconds: Fraction, span: Month) -> Fraction:
    """Return what a droplet costs for so many seconds of the month."""
    if seconds <= 0:
        return Fraction(0)
    # The minimum is charged once, in the month of its creation.
    created_now = stay.since >= span.since
    if created_now:
        seconds = max(seconds, Fraction(LEAST_SECONDS))
    amount = _amount(stay, seconds)
    if created_now and stay.hourly:
        return max(amount, Fraction(LEAST))
    return amount


def _amount(stay: Stay, seconds: Fraction) -> Fraction:
    """Return the price of so many seconds, at most the cap of the plan."""
    rate = Fraction(stay.hourly) / 3600
    if not stay.capped:
        return rate * seconds
    if stay.monthly is None:
        return rate * min(seconds, Fraction(CAP))
    monthly = Fraction(stay.monthly)
    if seconds >= CAP:
        return monthly
    return min(rate * seconds, monthly)


@dataclass(frozen=True)
class FleetSlot:
    """A place in the fleet: the droplets that filled it in turn, with closed times between them.

    `until`: when it was given up, or closed and not filled
    again; None: not yet.
    """

    stays: tuple[Stay, ...]
    until: float | None


def places(stays_given: Sequence[Stay], closings: Sequence[Closing]) -> list[FleetSlot]:
    """Return the places of droplets that replaced each other.

    A place ends where the price changes.
    """
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
) -> list[FleetSlot]:
    rows: list[FleetSlot] = []
    row = [first]
    while (droplet := following.get(row[-1].droplet)) is not None:
        after = stays[droplet]
        if _price(after) != _price(row[-1]):
            rows.append(FleetSlot(tuple(row), after.since))
            row = []
        row.append(after)
    last = row[-1].droplet
    return [*rows, FleetSlot(tuple(row), ends.get(last, row[-1].until))]


def _price(stay: Stay) -> tuple[Decimal, Decimal | None, bool]:
    return stay.hourly, stay.monthly, stay.capped


def as_if_cost(place: FleetSlot, span: Month) -> Fraction:
    """Return what one droplet would have cost that stayed all the time."""
    first = place.stays[0]
    return bill(first, span.seconds(first.since, place.until), span)


def away(place: FleetSlot, span: Month) -> Fraction:
    """Return the seconds for which the place was empty because it was closed."""
    there = sum((span.seconds(s.since, s.until) for s in place.stays), Fraction(0))
    return span.seconds(place.stays[0].since, place.until) - there


def unbilled(place: FleetSlot, span: Month) -> Fraction:
    """Return how many of those seconds would not have been billed for an always-on droplet."""
    first = place.stays[0]
    if not first.capped:
        return Fraction(0)
    over = span.seconds(first.since, place.until) - CAP
    return min(away(place, span), max(Fraction(0), over))
