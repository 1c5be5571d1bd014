"""Dates out of an .ics file: public holidays, company days off."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from dateutil.rrule import rrulestr
from icalendar import Calendar, Event

from services.errors import Refused

LONGEST = timedelta(days=62)  # school holidays; a longer event is no holiday


@dataclass(frozen=True)
class Holiday:
    """A date (ISO) and what it is called."""

    date: str
    name: str


def holidays(ics: str | bytes, first: date, last: date) -> tuple[Holiday, ...]:
    """Every date from `first` to `last` on which an event of that calendar lasts all day. Events with times are appointments.

    Refused when it is no calendar, or holds an event that cannot be read: half of the holidays would be worse than none.
    """
    try:
        calendar = Calendar.from_ical(ics)
        events = [e for e in calendar.walk("VEVENT") if isinstance(e, Event)]
        found = {holiday for event in events for holiday in _dates(event, first, last)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"this is not a calendar (.ics) that can be read: {type(error).__name__}") from None
    return tuple(sorted(found, key=lambda h: (h.date, h.name)))


def _dates(event: Event, first: date, last: date) -> set[Holiday]:
    begin = event.start
    if isinstance(begin, datetime) or str(event.get("STATUS", "")).upper() == "CANCELLED":
        return set()
    length = min(event.end - begin, LONGEST)
    name = str(event.get("SUMMARY", "")).strip()
    days = {day + timedelta(n) for day in _starts(event, begin, last) for n in range(max(1, length.days))}
    return {Holiday(d.isoformat(), name) for d in days if first <= d <= last}


def _starts(event: Event, begin: date, last: date) -> set[date]:
    """The first days of the event: one, or as its rule repeats it. RDATE is not looked at; no holiday calendar has it."""
    rule = event.get("RRULE")
    if rule is None:
        return {begin}
    repeats = rrulestr(rule.to_ical().decode(), dtstart=datetime.combine(begin, time.min), ignoretz=True)
    found = {d.date() for d in repeats.between(datetime.combine(begin, time.min), datetime.combine(last, time.max), inc=True)}
    return found - _excluded(event)


def _excluded(event: Event) -> set[date]:
    given = event.get("EXDATE", [])
    lists = given if isinstance(given, list) else [given]
    moments = [entry.dt for each in lists for entry in each.dts]
    return {m.date() if isinstance(m, datetime) else m for m in moments}
