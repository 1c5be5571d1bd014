"""Dates, moments, lengths and time zones as calendar files write them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from services.windows.ical.lines import Component, Line
from services.windows.ical.rules import Budget, Repeats, parse_rule
from services.windows.time_zones import iana_named

EARLIEST, LATEST = 1900, 9000  # years
DAY = timedelta(days=1)
_MOMENT = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"([+-])?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?",
    re.IGNORECASE,
)
_UTC = frozenset(
    {"utc", "gmt", "z", "etc/utc", "tzone://microsoft/utc", "coordinated universal time"}
)


def moments_of(line: Line, zones: "Zones") -> list[date]:
    """Its values, separated by commas: dates, or moments with the zone that they are in, if any. Of a period its beginning."""
    only_dates = line.parameters.get("VALUE", "").upper() == "DATE"
    zone = zones.find(line)
    return [
        _moment(line, text.partition("/")[0].strip(), zone, only_dates=only_dates)
        for text in line.value.split(",")
    ]


def moment_of(line: Line, zones: "Zones") -> date:
    """Its one value. What is a date says so by VALUE=DATE, or by having no time."""
    return moments_of(line, zones)[0]


def _moment(line: Line, text: str, zone: tzinfo | None, *, only_dates: bool) -> date:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"{line.name} is no date: {_short(text)}")
    year, month, day = (int(found[n]) for n in (1, 2, 3))
    if not EARLIEST <= year < LATEST:
        raise ValueError(f"{line.name} is of {year}, and years from {EARLIEST} on are read")
    try:
        if only_dates or found[4] is None:
            return date(year, month, day)
        hour, minute, second = int(found[4]), int(found[5]), int(found[6] or 0)
        late = DAY if (hour, minute, second) == (24, 0, 0) else timedelta(0)
        at = datetime(year, month, day, hour % 24 if late else hour, minute, min(second, 59)) + late  # noqa: DTZ001 - its zone follows
    except ValueError:
        raise ValueError(f"{line.name} is no date: {_short(text)}") from None
    return at.replace(tzinfo=_offset(found[7]) if found[7] else zone)


def _offset(text: str) -> tzinfo:
    if text.upper() == "Z":
        return UTC
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-ahead if text[0] == "-" else ahead)


def length_of(line: Line) -> timedelta:
    """`P1D`, `PT36H`, `P1DT2H`; what is negative is nothing."""
    found = _LENGTH.fullmatch(line.value)
    if found is None or not any(found[n] for n in range(2, 7)):
        raise ValueError(f"{line.name} is no length: {_short(line.value)}")
    weeks, days, hours, minutes, seconds = (int(found[n] or 0) for n in range(2, 7))
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return timedelta(0) if found[1] == "-" else length


def _short(text: str) -> str:
    return re.sub(r"[^\w:+./-]", "?", text[:30]) or "nothing"


# Time zones


@dataclass
class Zones:
    """The time zones of a file: by a name of the tz database in theirs, by what Windows calls them, or as the file defines them.

    `unknown` are the lines whose zone is neither: such times are read as the local clocks show them, which is said.
    """

    defined: Mapping[str, Component]
    first: date
    last: date
    budget: Budget
    unknown: dict[int, str] = field(default_factory=dict)
    _found: dict[str, tzinfo | None] = field(default_factory=dict)

    def find(self, line: Line) -> tzinfo | None:
        """The zone that a line names; None when it names none, or none that is known."""
        name = line.parameters.get("TZID", "")
        if not name:
            return None
        if name not in self._found:
            self._found[name] = self._named(name)
        zone = self._found[name]
        if zone is None and "T" in line.value.upper():
            self.unknown[line.number] = name
        return zone

    def _named(self, name: str) -> tzinfo | None:
        if name.casefold() in _UTC:
            return UTC
        component = self.defined.get(name)
        place = component.first("X-LIC-LOCATION") if component else None
        for known in (name, place.value if place else "", _of_windows(name)):
            if known and (zone := _iana(known)) is not None:
                return zone
        return self._as_defined(component) if component else None

    def _as_defined(self, component: Component) -> tzinfo | None:
        changes = sorted(
            c
            for kind in ("STANDARD", "DAYLIGHT")
            for part in component.walk(kind)
            for c in self._changes(part)
        )
        return Defined(tuple(changes)) if changes else None

    def _changes(self, part: Component) -> Iterator[tuple[datetime, timedelta]]:
        """When the clocks of the zone begin to be so far ahead, from some time before the days that are asked for."""
        begin, ahead = part.first("DTSTART"), part.first("TZOFFSETTO")
        found = re.fullmatch(r"([+-])(\d{2})(\d{2})(?:\d{2})?", ahead.value) if ahead else None
        if begin is None or found is None:
            return
        offset = timedelta(hours=int(found[2]), minutes=int(found[3])) * (
            -1 if found[1] == "-" else 1
        )
        onset = _onset(begin)
        yield onset, offset
        for line in part.all("RRULE"):
            rule = parse_rule(line.value)
            until = _onset(Line(line.number, "UNTIL", {}, rule.until)) if rule.until else None
            repeats = Repeats(rule, onset, until, self.budget)
            yield from (
                (at, offset) for at in repeats.between(self.first - 400 * DAY, self.last + 2 * DAY)
            )


def _onset(line: Line) -> datetime:
    """Outlook's zones begin in 1601."""
    found = _MOMENT.fullmatch(line.value)
    if found is None:
        raise ValueError(f"{line.name} is no date: {_short(line.value)}")
    hour, minute = int(found[4] or 0), int(found[5] or 0)
    return datetime(max(int(found[1]), EARLIEST), int(found[2]), int(found[3]), hour, minute)  # noqa: DTZ001 - local to the zone


@dataclass(frozen=True)
class Defined(tzinfo):
    """A zone as a file defines it: what it is ahead of UTC, from which local time on."""

    changes: tuple[tuple[datetime, timedelta], ...]

    def utcoffset(self, dt: datetime | None) -> timedelta:
        at = dt.replace(tzinfo=None) if dt is not None else datetime.max  # noqa: DTZ901 - compared with local times
        return next(
            (ahead for onset, ahead in reversed(self.changes) if onset <= at), self.changes[0][1]
        )

    def dst(self, dt: datetime | None) -> None:  # noqa: ARG002 - the protocol's own signature
        return None

    def tzname(self, dt: datetime | None) -> None:  # noqa: ARG002
        return None


def _iana(name: str) -> ZoneInfo | None:
    """Also behind somebody's prefix: `/mozilla.org/20070129_1/Asia/Tokyo`."""
    parts = name.strip("/").split("/")
    ends: Iterable[str] = ("/".join(parts[-n:]) for n in (3, 2, 1) if n <= len(parts))
    return next((zone for end in ends if (zone := iana_named(end)) is not None), None)


@lru_cache(maxsize=256)
def _of_windows(name: str) -> str:
    """What the tz database calls a zone that Windows calls `Romance Standard Time`; "" when it is none of these."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON  # noqa: PLC0415 - half a second, for calendars of Windows only

    found: Mapping[str, str] = WINDOWS_TO_OLSON
    return found.get(name, "")
