"""Change freezes and meetings of calendar files (.ics): what windows keep clear of."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.exceptions import DAY, Freeze, Meeting
from services.windows.holidays import Found
from services.windows.ical import Happening, read_calendar
from services.windows.time_zones import instant

MOST = 1000  # of one file, in the days that are asked for


def freezes(ics: bytes, first: date, last: date, zone: str) -> Found[Freeze]:
    """Every event of the calendar: nothing is changed while it lasts. One of whole days lasts from midnight to midnight there."""
    read = read_calendar(ics, first, last, zone)
    spans = ((h, *_span(h, ZoneInfo(zone))) for h in read.happenings)
    found = [Freeze(since, until, h.name) for h, since, until in spans if since < until]
    _check(len(found), "freezes")
    return Found(tuple(sorted(found, key=lambda f: (f.since, f.until, f.name))), read.skipped)


def meetings(ics: bytes, first: date, last: date, zone: str) -> Found[Meeting]:
    """The events at which people meet: those with times, of a day at most, that are not shown as free."""
    read = read_calendar(ics, first, last, zone)
    timed = [h for h in read.happenings if not h.all_day and not h.free]
    spans = ((h, *_span(h, ZoneInfo(zone))) for h in timed)
    found = [
        Meeting(since, until, h.name, h.people)
        for h, since, until in spans
        if since < until <= since + DAY
    ]
    _check(len(found), "meetings")
    return Found(tuple(sorted(found, key=lambda m: (m.since, m.until, m.name))), read.skipped)


def _check(number: int, what: str) -> None:
    if number > MOST:
        raise Refused(f"it holds {number} {what} in the coming time; {MOST} at most are read")


def _span(happening: Happening, zone: ZoneInfo) -> tuple[float, float]:
    return _moment(happening.since, zone), _moment(happening.until, zone)


def _moment(moment: date, zone: ZoneInfo) -> float:
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return moment.timestamp()
    local = moment if isinstance(moment, datetime) else datetime.combine(moment, time.min)
    return float(instant(zone, local)[0])
