"""A second implementation of days off.

Other code, another library for rules (dateutil), and a check of every day.

It reads well-formed calendars only, as programs write them; the product has to agree on all of
these.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

DAY = timedelta(days=1)
WINDOWS = {
    "Romance Standard Time": "Europe/Paris",
    "Eastern Standard Time": "America/New_York",
    "Tokyo Standard Time": "Asia/Tokyo",
}
FLAG = "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE"


@dataclass
class ParsedComponent:
    lines: list[tuple[str, str, str]] = field(default_factory=list)  # Name, parameters, value.

    def values(self, name: str) -> list[tuple[str, str]]:
        return [(p, v) for n, p, v in self.lines if n == name]

    def value(self, name: str) -> tuple[str, str] | None:
        return next(iter(self.values(name)), None)


def days_off(text: str, first: date, last: date, zone: str) -> set[tuple[str, str]]:
    """Return (date, name) of every day in that time that an event fills."""
    days: set[tuple[str, str]] = set()
    entries = _entries(text)
    moved: dict[str, list[ParsedComponent]] = defaultdict(list)
    for entry in entries:
        if entry.value("RECURRENCE-ID"):
            moved[_uid(entry)].append(entry)
    for entry in entries:
        if (entry.value("STATUS") or ("", ""))[1] != "CANCELLED":
            days |= _days(entry, moved[_uid(entry)], first, last, ZoneInfo(zone))
    return days


def _entries(text: str) -> list[ParsedComponent]:
    flat = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    entries = []
    for block in re.findall(r"BEGIN:VEVENT\n(.*?)END:VEVENT", flat, re.DOTALL):
        own = re.sub(r"BEGIN:VALARM\n.*?END:VALARM\n", "", block, flags=re.DOTALL)
        entry = ParsedComponent()
        for line in own.splitlines():
            if match := re.fullmatch(r'([A-Z-]+)((?:;[A-Z-]+=(?:"[^"]*"|[^;:"]*))*):(.*)', line):
                entry.lines.append((match[1], match[2], match[3]))
        entries.append(entry)
    return entries


def _uid(entry: ParsedComponent) -> str:
    return (entry.value("UID") or ("", ""))[1]


def _zone(parameters: str) -> tzinfo | None:
    match = re.search(r'TZID="?([^";]+)', parameters)
    if match is None:
        return None
    name = WINDOWS.get(match[1], match[1])
    return ZoneInfo("/".join(name.split("/")[-2:]))


def _read(parameters: str, text: str) -> date:
    if "VALUE=DATE" in parameters.replace("VALUE=DATE-TIME", "") or len(text) == 8:
        return datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC).date()
    plain = datetime.strptime(text[:15], "%Y%m%dT%H%M%S")  # noqa: DTZ007 - its zone follows
    return plain.replace(tzinfo=UTC if text.endswith("Z") else _zone(parameters))


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None) if moment.tzinfo else moment


def _plain(moment: date) -> datetime:
    """Return the moment without its zone, as it is written."""
    return (
        moment.replace(tzinfo=None)
        if isinstance(moment, datetime)
        else datetime.combine(moment, time.min)
    )


def _days(
    entry: ParsedComponent, moved: list[ParsedComponent], first: date, last: date, there: tzinfo
) -> set[tuple[str, str]]:
    start = entry.value("DTSTART")
    assert start is not None
    begin = _read(*start)
    name = re.sub(r"\\(.)", r"\1", (entry.value("SUMMARY") or ("", ""))[1])[:60].strip()
    flagged = any(f"{n}:{v}" == FLAG for n, _, v in entry.lines) and isinstance(begin, datetime)
    whole = flagged or not isinstance(begin, datetime)
    written = _plain(begin)
    length = _length(entry, written, whole=whole)
    without = {_plain(_read(p, v)) for p, vs in entry.values("EXDATE") for v in vs.split(",")}
    if not entry.value("RECURRENCE-ID"):
        without |= {_plain(_read(*r)) for m in moved if (r := m.value("RECURRENCE-ID"))}
    days: set[tuple[str, str]] = set()
    for at in _starts(entry, written, last) - without:
        if whole:
            spans = at, at + length
        else:
            zone = begin.tzinfo if isinstance(begin, datetime) else None
            spans = (
                _local(at.replace(tzinfo=zone), there),
                _local((at + length).replace(tzinfo=zone), there),
            )
        day = first
        while day <= last:
            midnight = datetime.combine(day, time.min)
            if spans[0] <= midnight and midnight + DAY <= spans[1]:
                days.add((day.isoformat(), name))
            day += DAY
    return days


def _length(entry: ParsedComponent, begin: datetime, *, whole: bool) -> timedelta:
    end, duration = entry.value("DTEND"), entry.value("DURATION")
    if duration is not None:
        match = re.fullmatch(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(\d+)H)?", duration[1])
        assert match is not None
        length = timedelta(
            weeks=int(match[1] or 0), days=int(match[2] or 0), hours=int(match[3] or 0)
        )
    elif end is not None:
        length = _plain(_read(*end)) - begin
    else:
        length = DAY if whole else timedelta(0)
    if not whole:
        return length
    return max(DAY, timedelta(days=(length + timedelta(hours=23, minutes=59)).days))


def _starts(entry: ParsedComponent, begin: datetime, last: date) -> set[datetime]:
    starts = {begin}
    for parameters, values in entry.values("RDATE"):
        starts |= {datetime.combine(_read(parameters, v), begin.time()) for v in values.split(",")}
    for _, rule in entry.values("RRULE"):
        until = re.search(r";?UNTIL=(\d{8})", rule)
        end = datetime.combine(_read("", until[1]), time.max) if until else datetime.max  # noqa: DTZ901 - local
        bare = re.sub(r";?UNTIL=[0-9TZ]+", "", rule).strip(";")
        stop = datetime.combine(last, time.max)
        starts |= {
            r for r in rrulestr(bare, dtstart=begin).between(begin, stop, inc=True) if r <= end
        }
    return starts
