"""Days off of a calendar file (.ics): public holidays, company days off, school holidays."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.ical import EventOccurrence, SkippedLine, read_calendar

T = TypeVar("T")
MOST = 2000  # days kept of one file; a country has about twenty holidays a year
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Holiday:
    """A date (ISO) and its name."""

    date: str
    name: str

    @property
    def reason(self) -> str:
        """`holiday: Navidad`."""
        if not self.name:
            return f"{self.date} is a holiday"
        return f"holiday: {self.name}"


@dataclass(frozen=True)
class CalendarEntries(Generic[T]):
    """The entries of a calendar file in the days read, in order, and its skipped lines."""

    entries: tuple[T, ...]
    skipped: tuple[SkippedLine, ...] = ()


def holidays(ics: bytes, first: date, last: date, zone: str = "UTC") -> CalendarEntries[Holiday]:
    """Return the dates from `first` to `last` that an event fills from midnight to midnight.

    Refused when it is no calendar, or holds an event that cannot be read: half of the holidays
    would be worse than none.
    """
    read = read_calendar(ics, first, last, zone)
    there = ZoneInfo(zone)
    named: dict[str, set[int]] = defaultdict(set)
    count = 0
    for happening in read.occurrences:
        days = named[happening.name]
        count -= len(days)
        days.update(_filled(happening, first, last, there))
        count += len(days)
        if count > MOST:
            raise Refused(
                f"it has events on more than {MOST} days, which no calendar of days off has"
            )
    in_order = sorted((day, name) for name, days in named.items() for day in days)
    entries = (Holiday(date.fromordinal(day).isoformat(), name) for day, name in in_order)
    return CalendarEntries(tuple(entries), read.skipped)


def _filled(happening: EventOccurrence, first: date, last: date, zone: ZoneInfo) -> range:
    """Return the days (as ordinals) that it fills from midnight to midnight."""
    since, until = happening.since, happening.until
    if isinstance(since, datetime) and isinstance(until, datetime):
        begin, end = _local(since, zone), _local(until, zone)
        since, until = begin.date(), end.date()
        if begin.time() != time.min:
            since += DAY
    return range(max(since, first).toordinal(), min(until.toordinal(), last.toordinal() + 1))


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the local time there. A time without a zone is the same everywhere."""
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(zone).replace(tzinfo=None)
