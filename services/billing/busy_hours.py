"""How many people meet at which hour of the day, and how often it is closed then. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from services.billing.droplet_hours import Closing, Month

HOUR, HOURS = 3600.0, 24
# By UTC date, for each hour of it: how often people were counted, their sum, and the most.
HourCounts = Mapping[str, Sequence[Sequence[int]]]


@dataclass(frozen=True)
class BusyHour:
    """One hour of the day over a month, local time.

    `people`: the mean of all counts; None where no one counted. `most`: at one moment. `closed`:
    the share of the time in which it was closed, from 0 to 1.
    """

    hour: int
    people: Decimal | None
    most: int
    closed: Decimal


def counted(before: HourCounts, at: float, people: int, keep: float) -> HourCounts:
    """Return the counts with one more, without days that are older than `keep` seconds."""
    oldest = f"{datetime.fromtimestamp(at - keep, UTC):%Y-%m-%d}"
    days = {day: [list(h) for h in hours] for day, hours in before.items() if day >= oldest}
    moment = datetime.fromtimestamp(at, UTC)
    day = days.setdefault(f"{moment:%Y-%m-%d}", [[0, 0, 0] for _ in range(HOURS)])
    times, total, most = day[moment.hour]
    day[moment.hour] = [times + 1, total + people, max(most, people)]
    return days


def busy_hours(
    counts: HourCounts, closings: Iterable[Closing], span: Month, zone: str
) -> tuple[BusyHour, ...]:
    """Return the hours of the day over a month; () where nothing was counted in it."""
    local, ended = ZoneInfo(zone), list(closings)
    times, total, most = [0] * HOURS, [0] * HOURS, [0] * HOURS
    elapsed, closed = [Fraction(0)] * HOURS, [Fraction(0)] * HOURS
    at = span.since
    while at < span.until:
        moment = datetime.fromtimestamp(at, UTC)
        hour = moment.astimezone(local).hour
        until = min(at + HOUR, span.until)
        elapsed[hour] += Fraction(until) - Fraction(at)
        closed[hour] += _closed(ended, Month(at, until, span.whole))
        if seen := counts.get(f"{moment:%Y-%m-%d}"):
            times[hour] += seen[moment.hour][0]
            total[hour] += seen[moment.hour][1]
            most[hour] = max(most[hour], seen[moment.hour][2])
        at += HOUR
    if not any(times):
        return ()
    return tuple(
        BusyHour(n, _mean(total[n], times[n]), most[n], _share(closed[n], elapsed[n]))
        for n in range(HOURS)
    )


def _closed(closings: Iterable[Closing], span: Month) -> Fraction:
    return sum((span.seconds(c.since, c.until) for c in closings), Fraction(0))


def _mean(total: int, times: int) -> Decimal | None:
    if not times:
        return None
    return Decimal(total) / times


def _share(part: Fraction, whole: Fraction) -> Decimal:
    if not whole:
        return Decimal(0)
    return Decimal(float(min(Fraction(1), part / whole))).quantize(Decimal("0.01"))
