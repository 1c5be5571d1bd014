"""Dates out of an .ics file: public holidays, company days off."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from icalendar import Calendar, Event

from services.errors import Refused

LONGEST = timedelta(days=62)  # school holidays; a longer event is no holiday
LARGEST = 1_000_000  # bytes; a country's holidays of a century have a tenth of that
EARLIEST = 1900
NAME = 60  # characters of a holiday's name that are kept
DAY = timedelta(days=1)
_SLOW = re.compile(r"FREQ=(SECONDLY|MINUTELY|HOURLY)", re.IGNORECASE)


@dataclass(frozen=True)
class Holiday:
    """A date (ISO) and what it is called."""

    date: str
    name: str

    @property
    def words(self) -> str:
        """`holiday: Navidad`."""
        return f"holiday: {self.name}" if self.name else f"{self.date} is a holiday"


def holidays(ics: bytes, first: date, last: date, zone: str = "UTC") -> tuple[Holiday, ...]:
    """Every date from `first` to `last` that an event of that calendar fills from midnight to midnight, there. Others are appointments.

    Refused when it is no calendar, or holds an event that cannot be read: half of the holidays would be worse than none.
    """
    found: set[Holiday] = set()
    for number, event in enumerate(_events(ics)):
        try:
            found |= _dates(event, first, last, ZoneInfo(zone))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise Refused(f"{_where(ics, event, number)} cannot be read: {_harmless(str(error)) or type(error).__name__}") from None
    return tuple(sorted(found, key=lambda h: (h.date, h.name)))


def _events(ics: bytes) -> list[Event]:
    if len(ics) > LARGEST:
        raise Refused(f"a calendar (.ics) of at most {LARGEST // 1_000_000} MB is read, and this has {len(ics)} bytes")
    try:
        calendar = Calendar.from_ical(ics)
        events = [e for e in calendar.walk("VEVENT") if isinstance(e, Event)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise Refused(f"this is not a calendar (.ics) that can be read: {_harmless(str(error)) or type(error).__name__}") from None
    return events


def _where(ics: bytes, event: Event, number: int) -> str:
    """`line 12, the event “Navidad”`: where somebody has to look."""
    begins = [n for n, line in enumerate(ics.decode("utf-8", "replace").splitlines(), 1) if line.strip().upper() == "BEGIN:VEVENT"]
    line = f"line {begins[number]}, " if number < len(begins) else ""
    return f"{line}the event “{_harmless(str(event.get('SUMMARY', ''))) or 'without a name'}”"


def _harmless(text: str) -> str:
    """On one line, short, and without a meaning of its own where it is said: calendars come from anywhere."""
    line = " ".join(text.replace("<", "‹").replace(">", "›").replace("&", "+").split())
    return re.sub(r"[*_~`\x00-\x1f\x7f]", "", line)[:NAME].strip()


def _dates(event: Event, first: date, last: date, zone: ZoneInfo) -> set[Holiday]:
    if event.errors:  # such as a rule that says nothing: left out silently, it would make one date of many
        raise ValueError(f"{event.errors[0][0]}: {event.errors[0][1]}")
    begin = event.start
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return set()
    length = min(event.end - begin, LONGEST)
    name = _harmless(str(event.get("SUMMARY", "")))
    days = (day for start in _starts(event, begin, last) for day in _filled(start, length, zone))
    return {Holiday(d.isoformat(), name) for d in days if first <= d <= last}


def _filled(start: date, length: timedelta, zone: ZoneInfo) -> Iterator[date]:
    """The days that are filled from midnight to midnight; for an event with times, by the clocks of `zone`."""
    if not isinstance(start, datetime):
        yield from (start + timedelta(n) for n in range(max(1, length.days)))
        return
    begin, end = _local(start, zone), _local(start + length, zone)
    day = begin.date() if begin.time() == time.min else begin.date() + DAY
    while datetime.combine(day + DAY, time.min) <= end:
        yield day
        day += DAY


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """As the clocks there show it. A time without a zone is the same everywhere."""
    return moment.astimezone(zone).replace(tzinfo=None) if moment.tzinfo else moment


def _starts(event: Event, begin: date, last: date) -> set[date]:
    """When the event begins: once, as its rule repeats it, and on what is named beside."""
    if begin.year < EARLIEST:
        raise ValueError(f"it begins in {begin.year}, before {EARLIEST}")
    found = {begin, *_moments(event, "RDATE", begin)}
    rule = event.get("RRULE")
    for each in rule if isinstance(rule, list) else [rule] if rule is not None else []:
        found |= _repeats(each.to_ical().decode(), begin, last)
    return found - _moments(event, "EXDATE", begin)


def _repeats(rule: str, begin: date, last: date) -> set[date]:
    if _SLOW.search(rule):
        raise ValueError("it repeats within a day, which no holiday does")
    timed = isinstance(begin, datetime)
    naive = begin.replace(tzinfo=None) if isinstance(begin, datetime) else datetime.combine(begin, time.min)
    repeats = rrulestr(rule, dtstart=naive, ignoretz=True).between(naive, datetime.combine(last, time.max), inc=True)
    return {r.replace(tzinfo=begin.tzinfo) if timed and isinstance(begin, datetime) else r.date() for r in repeats}


def _moments(event: Event, key: str, begin: date) -> set[date]:
    """What RDATE or EXDATE name, as the beginning is given: dates, or moments."""
    given = event.get(key, [])
    entries = [entry.dt for each in (given if isinstance(given, list) else [given]) for entry in each.dts]
    moments = [e[0] if isinstance(e, tuple) else e for e in entries]
    if isinstance(begin, datetime):
        return {m if isinstance(m, datetime) else datetime.combine(m, begin.time(), begin.tzinfo) for m in moments}
    return {m.date() if isinstance(m, datetime) else m for m in moments}
