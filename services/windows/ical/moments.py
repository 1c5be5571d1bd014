"""Dates, moments, lengths and time zones as calendar files write them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from typing_extensions import override

from services.windows.ical.lines import Component, ContentLine
from services.windows.ical.rules import Recurrence, WorkBudget, parse_rule
from services.windows.time_zones import iana_named, local_time

EARLIEST, LATEST = 1900, 9000  # years
DAY = timedelta(days=1)
_MOMENT = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})"
    r"(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"([+-])?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?",
    re.IGNORECASE,
)
_UTC = frozenset(
    {"utc", "gmt", "z", "etc/utc", "tzone://microsoft/utc", "coordinated universal time"}
)


def moments_of(line: ContentLine, zones: "Zones") -> list[date]:
    """Return the values of a line: dates, or moments with their zone, if any.

    Of a period its beginning.
    """
    only_dates = line.parameters.get("VALUE", "").upper() == "DATE"
    zone = zones.find(line)
    return [
        _moment(line, text.partition("/")[0].strip(), zone, only_dates=only_dates)
        for text in line.value.split(",")
    ]


def moment_of(line: ContentLine, zones: "Zones") -> date:
    """Return the one value of a line. A date has VALUE=DATE, or no time."""
    return moments_of(line, zones)[0]


def _moment(line: ContentLine, text: str, zone: tzinfo | None, *, only_dates: bool) -> date:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{line.name} is not a date: {_short(text)}")
    year, month, day = (int(match[n]) for n in (1, 2, 3))
    if not EARLIEST <= year < LATEST:
        raise ValueError(f"{line.name} is of {year}, and years from {EARLIEST} on are read")
    try:
        day_of = date(year, month, day)
        if only_dates or match[4] is None:
            return day_of
        at = _at_clock(day_of, int(match[4]), int(match[5]), int(match[6] or 0))
    except ValueError:
        raise ValueError(f"{line.name} is not a date: {_short(text)}") from None
    if match[7]:
        zone = _offset(match[7])
    return at.replace(tzinfo=zone)


def _at_clock(day: date, hour: int, minute: int, second: int) -> datetime:
    """Return a local time of that day.

    24:00:00 is the next midnight, and a leap second the second before.
    """
    if (hour, minute, second) == (24, 0, 0):
        return local_time(day + DAY)
    return datetime.combine(day, time(hour, minute, min(second, 59)))


def _offset(text: str) -> tzinfo:
    if text.upper() == "Z":
        return UTC
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    if text[0] == "-":
        ahead = -ahead
    return timezone(ahead)


def length_of(line: ContentLine) -> timedelta:
    """Return the length of `P1D`, `PT36H` or `P1DT2H`; 0 for a negative one."""
    match = _LENGTH.fullmatch(line.value)
    if match is None or not any(match[n] for n in range(2, 7)):
        raise ValueError(f"{line.name} is not a length: {_short(line.value)}")
    if match[1] == "-":
        return timedelta(0)
    weeks, days, hours, minutes, seconds = (int(match[n] or 0) for n in range(2, 7))
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def _short(text: str) -> str:
    return re.sub(r"[^\w:+./-]", "?", text[:30]) or "nothing"


# Time zones


@dataclass
class Zones:
    """The time zones of a file, by tz database name, Windows name, or the file's definition.

    `unknown`: by line number, zones that are none of these. Such times are read as local, which the
    reading reports.
    """

    defined: Mapping[str, Component]
    first: date
    last: date
    budget: WorkBudget
    unknown: dict[int, str] = field(default_factory=dict)
    _by_name: dict[str, tzinfo | None] = field(default_factory=dict)

    def find(self, line: ContentLine) -> tzinfo | None:
        """Return the zone that a line names; None when it names none, or an unknown one."""
        name = line.parameters.get("TZID", "")
        if not name:
            return None
        if name not in self._by_name:
            self._by_name[name] = self._named(name)
        zone = self._by_name[name]
        if zone is None and "T" in line.value.upper():
            self.unknown[line.number] = name
        return zone

    def _named(self, name: str) -> tzinfo | None:
        if name.casefold() in _UTC:
            return UTC
        component = self.defined.get(name, Component("VTIMEZONE", 0))
        place = component.first_line("X-LIC-LOCATION")
        names = [name, *([place.value] if place else []), _of_windows(name)]
        for alias in filter(None, names):
            zone = _iana(alias)
            if zone is not None:
                return zone
        return self._as_defined(component)

    def _as_defined(self, component: Component) -> tzinfo | None:
        changes = sorted(
            change
            for kind in ("STANDARD", "DAYLIGHT")
            for part in component.walk(kind)
            for change in self._changes(part)
        )
        if not changes:
            return None
        return Defined(tuple(changes))

    def _changes(self, part: Component) -> Iterator[tuple[datetime, timedelta]]:
        """Yield from when on the clocks are how far ahead, from a year before the days read."""
        begin, ahead = part.first_line("DTSTART"), part.first_line("TZOFFSETTO")
        if begin is None or ahead is None:
            return
        match = re.fullmatch(r"([+-])(\d{2})(\d{2})(?:\d{2})?", ahead.value)
        if match is None:
            return
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if match[1] == "-":
            offset = -offset
        onset = _onset(begin)
        yield onset, offset
        first, last = self.first - 400 * DAY, self.last + 2 * DAY
        for line in part.lines_named("RRULE"):
            rule = parse_rule(line.value)
            until = None
            if rule.until:
                until = _onset(ContentLine(line.number, "UNTIL", {}, rule.until))
            repeats = Recurrence(rule, onset, until, self.budget)
            yield from ((at, offset) for at in repeats.between(first, last))


def _onset(line: ContentLine) -> datetime:
    """Return a local time of the zone, at the earliest of 1900: Outlook's zones begin in 1601."""
    match = _MOMENT.fullmatch(line.value)
    if match is None:
        raise ValueError(f"{line.name} is not a date: {_short(line.value)}")
    day = date(max(int(match[1]), EARLIEST), int(match[2]), int(match[3]))
    return datetime.combine(day, time(int(match[4] or 0), int(match[5] or 0)))


@dataclass(frozen=True)
class Defined(tzinfo):
    """A zone as a file defines it: how far ahead of UTC it is, from which local time on."""

    changes: tuple[tuple[datetime, timedelta], ...]

    @override
    def utcoffset(self, dt: datetime | None) -> timedelta:
        newest_first = reversed(self.changes)
        if dt is None:
            return next(newest_first)[1]
        local = dt.replace(tzinfo=None)
        before = (ahead for onset, ahead in newest_first if onset <= local)
        return next(before, self.changes[0][1])

    @override
    def dst(self, dt: datetime | None) -> None:
        return None

    @override
    def tzname(self, dt: datetime | None) -> None:
        return None


def _iana(name: str) -> ZoneInfo | None:
    """Return the zone of a name, also with a prefix: `/mozilla.org/20070129_1/Asia/Tokyo`."""
    parts = name.strip("/").split("/")
    ends: Iterable[str] = ("/".join(parts[-n:]) for n in (3, 2, 1) if n <= len(parts))
    return next((zone for end in ends if (zone := iana_named(end)) is not None), None)


@lru_cache(maxsize=256)
def _of_windows(name: str) -> str:
    """Return the tz database name of a Windows zone, such as `Romance Standard Time`, or ""."""
    # Importing it takes half a second, and only calendars of Windows need it.
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON  # noqa: PLC0415

    names: Mapping[str, str] = WINDOWS_TO_OLSON
    return names.get(name, "")
