"""Days off of a calendar file (.ics): public holidays, company days off, school holidays."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.ical import Happening, Skipped, read_calendar

T = TypeVar("T")
MOST = 2000  # names of days that are kept of one file; a country has some twenty a year
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Holiday:
    """A date (ISO) and what it is called."""

    date: str
    name: str

    @property
    def words(self) -> str:
        """`holiday: Navidad`."""
        return f"holiday: {self.name}" if self.name else f"{self.date} is a holiday"


@dataclass(frozen=True)
class Found(Generic[T]):
    """What a calendar file says about the days that were asked for, in order, and what was passed over in it."""

    all: tuple[T, ...]
    skipped: tuple[Skipped, ...] = ()


def holidays(ics: bytes, first: date, last: date, zone: str = "UTC") -> Found[Holiday]:
    """Every date from `first` to `last` that an event fills from midnight to midnight by the clocks of that zone, however long it is.

    Refused when it is no calendar, or holds an event that cannot be read: half of the holidays would be worse than none.
    """
    read = read_calendar(ics, first, last, zone)
    there = ZoneInfo(zone)
    named: dict[str, set[int]] = defaultdict(set)
    count = 0
    for happening in read.happenings:
        days = named[happening.name]
        count -= len(days)
        days.update(_filled(happening, first, last, there))
        count += len(days)
        if count > MOST:
            raise Refused(
                f"it fills more than {MOST} days with events, which no calendar of days off does"
            )
    found = sorted((day, name) for name, days in named.items() for day in days)
    return Found(
        tuple(Holiday(date.fromordinal(day).isoformat(), name) for day, name in found), read.skipped
    )


def _filled(happening: Happening, first: date, last: date, zone: ZoneInfo) -> range:
    """The days among those asked for (as ordinals) that it fills from midnight to midnight."""
    since, until = happening.since, happening.until
    if isinstance(since, datetime) and isinstance(until, datetime):
        begin, end = _local(since, zone), _local(until, zone)
        since = begin.date() if begin.time() == time.min else begin.date() + DAY
        until = end.date()
    return range(max(since, first).toordinal(), min(until.toordinal(), last.toordinal() + 1))


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """As the clocks there show it. A time without a zone is the same everywhere."""
    return moment.astimezone(zone).replace(tzinfo=None) if moment.tzinfo else moment
