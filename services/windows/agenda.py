"""Change freezes and meetings of calendar files (.ics): what windows must not conflict with."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.exceptions import DAY, Freeze, Meeting
from services.windows.holidays import CalendarEntries
from services.windows.ical import EventOccurrence, read_calendar
from services.windows.time_zones import instant

MOST = 1000  # entries of one file, in the days that are read


def freezes(ics: bytes, first: date, last: date, zone: str) -> CalendarEntries[Freeze]:
    """Return every event of the calendar: nothing is changed while it lasts.

    An event of whole days lasts from midnight to midnight in `zone`.
    """
    read = read_calendar(ics, first, last, zone)
    spans = ((h, *_span(h, ZoneInfo(zone))) for h in read.occurrences)
    entries = [Freeze(since, until, h.name) for h, since, until in spans if since < until]
    _check(len(entries), "freezes")
    return CalendarEntries(
        tuple(sorted(entries, key=lambda f: (f.since, f.until, f.name))), read.skipped
    )


def meetings(ics: bytes, first: date, last: date, zone: str) -> CalendarEntries[Meeting]:
    """Return the events at which people meet: with times, a day at most, not shown as free."""
    read = read_calendar(ics, first, last, zone)
    timed = [h for h in read.occurrences if not h.all_day and not h.free]
    spans = ((h, *_span(h, ZoneInfo(zone))) for h in timed)
    entries = [
        Meeting(since, until, h.name, h.people)
        for h, since, until in spans
        if since < until <= since + DAY
    ]
    _check(len(entries), "meetings")
    return CalendarEntries(
        tuple(sorted(entries, key=lambda m: (m.since, m.until, m.name))), read.skipped
    )


def _check(number: int, what: str) -> None:
    if number > MOST:
        raise Refused(f"it has {number} {what} ahead; at most {MOST} are read")


def _span(happening: EventOccurrence, zone: ZoneInfo) -> tuple[float, float]:
    return _moment(happening.since, zone), _moment(happening.until, zone)


def _moment(moment: date, zone: ZoneInfo) -> float:
    """Seconds since the epoch. A date is its midnight, a time without a zone local to `zone`."""
    if not isinstance(moment, datetime):
        return float(instant(zone, datetime.combine(moment, time.min))[0])
    if moment.tzinfo is None:
        return float(instant(zone, moment)[0])
    return moment.timestamp()
