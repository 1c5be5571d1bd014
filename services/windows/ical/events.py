"""Events of a calendar file, and when they happen: once, by rules, with changed single dates."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.ical.lines import Component, ContentLine, SkippedLine, read_components
from services.windows.ical.moments import DAY, Zones, length_of, moment_of, moments_of
from services.windows.ical.names import sanitize_name, unescaped
from services.windows.ical.rules import Recurrence, WorkBudget, parse_rule

ALL_DAY = (
    "X-MICROSOFT-CDO-ALLDAYEVENT",
    "X-MICROSOFT-MSNCALENDAR-ALLDAYEVENT",
    "X-FUNAMBOL-ALLDAY",
)
_NO_PEOPLE = ("RESOURCE", "ROOM")


@dataclass(frozen=True)
class EventOccurrence:
    """One time at which an event happens: whole days (`until` not included), or two moments.

    A moment without a zone is local everywhere. `people`: who comes, None where it invites no one.
    `free`: it makes no one busy.
    """

    since: date
    until: date
    name: str
    people: int | None = None
    free: bool = False

    @property
    def all_day(self) -> bool:
        """Whether it lasts whole days."""
        return not isinstance(self.since, datetime)


@dataclass(frozen=True)
class CalendarReading:
    """The events of a file in the days that were read, in order, and its skipped lines."""

    occurrences: tuple[EventOccurrence, ...]
    skipped: tuple[SkippedLine, ...] = ()


def read_calendar(ics: bytes, first: date, last: date, zone: str) -> CalendarReading:
    """Return everything that touches those days. `zone`: where a day begins and ends.

    Refused when it is no calendar, when a date, a rule or a name in it cannot be read, or when that
    takes too much work: a part of the days would be worse than none.
    """
    root, skipped = read_components(ics)
    budget = WorkBudget()
    zones = Zones(_defined(root), first, last, budget)
    there = ZoneInfo(zone)
    events: list[Event] = []
    happenings: list[EventOccurrence] = []
    for component in root.walk("VEVENT"):
        with _naming(component):
            events.append(Event(component, zones, there))
    changed = _changed(events)
    for event in events:
        with _naming(event.component):
            happenings += event.happenings(first, last, changed[event.uid], budget)
    happenings.sort(key=lambda h: (_sortable(h.since), h.name))
    unknown = (
        SkippedLine(line, f"time zone “{sanitize_name(name)}” is unknown: read as local")
        for line, name in zones.unknown.items()
    )
    return CalendarReading(
        tuple(happenings), tuple(sorted([*skipped, *unknown], key=lambda s: s.line))
    )


def _defined(root: Component) -> dict[str, Component]:
    named = ((part, part.first_line("TZID")) for part in root.walk("VTIMEZONE"))
    return {line.value: part for part, line in named if line is not None}


@contextmanager
def _naming(component: Component) -> Iterator[None]:
    """Name the event in an error about it."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        name = _name_of(component) or "without a name"
        event = f"line {component.number}, the event “{name}”"
        raise Refused(f"{event} cannot be read: {error}") from None


def _name_of(component: Component) -> str:
    summary = component.first_line("SUMMARY")
    if summary is None:
        return ""
    return sanitize_name(unescaped(summary.value))


def _sortable(moment: date) -> datetime:
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time.min, UTC)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


@dataclass
class Event:
    """A VEVENT. ValueError when a part that matters cannot be read.

    `begin` is a date for whole days, else a moment; `length` is counted by the clocks of its own
    zone. `replaces`: which time of its series it stands for.
    """

    component: Component
    zones: Zones
    there: tzinfo
    uid: str = ""
    name: str = ""
    begin: date = field(init=False)
    length: timedelta = field(init=False)
    replaces: ContentLine | None = None

    def __post_init__(self) -> None:
        part = self.component
        uid, start = part.first_line("UID"), part.first_line("DTSTART")
        if uid is not None:
            self.uid = uid.value
        self.name = _name_of(part)
        self.replaces = part.first_line("RECURRENCE-ID")
        if self.replaces is not None and "RANGE" in self.replaces.parameters:
            raise ValueError(
                "RECURRENCE-ID with a RANGE changes all later dates of a series, which is not read"
            )
        if start is None:
            raise ValueError("it has no DTSTART")
        begin = moment_of(start, self.zones)
        self.begin = begin
        if self._flagged and isinstance(begin, datetime):
            self.begin = self._local(begin).date()
        self.length = self._length(begin)

    @property
    def _flagged(self) -> bool:
        """Whether it is marked as an all-day event, as Outlook does beside times."""
        lines = (self.component.first_line(name) for name in ALL_DAY)
        return any(line is not None and line.value.upper() in ("TRUE", "1") for line in lines)

    def _local(self, moment: datetime) -> datetime:
        """Return the time by the event's own clocks; of a UTC time, by those of the cluster."""
        if moment.tzinfo is UTC:
            moment = moment.astimezone(self.there)
        return moment.replace(tzinfo=None)

    def _length(self, begin: date) -> timedelta:
        """Return the length: whole days, at least one, where it begins with a date."""
        end, length = self.component.first_line("DTEND"), self.component.first_line("DURATION")
        if not isinstance(self.begin, datetime):
            if end is not None:
                flagged = isinstance(begin, datetime)
                last = self._last_day(moment_of(end, self.zones), flagged=flagged)
                return max(DAY, last - self.begin)
            if length is None:
                return DAY
            return max(1, -(-length_of(length) // DAY)) * DAY
        if end is not None:
            began = self.begin.replace(tzinfo=None)
            return max(timedelta(0), self._wall(moment_of(end, self.zones)) - began)
        if length is None:
            return timedelta(0)
        return length_of(length)

    def _last_day(self, end: date, *, flagged: bool) -> date:
        """Return the day after the last.

        Outlook also writes the end of a flagged day as its 23:59.
        """
        if not isinstance(end, datetime):
            return end
        if not flagged:
            return end.date()
        local = self._local(end)
        if local.time() == time.min:
            return local.date()
        return local.date() + DAY

    def _wall(self, moment: date) -> datetime:
        """Return the time by the clocks of the zone in which the event begins."""
        if not isinstance(moment, datetime):
            return datetime.combine(moment, time.min)
        if isinstance(self.begin, datetime) and self.begin.tzinfo and moment.tzinfo:
            moment = moment.astimezone(self.begin.tzinfo)
        return moment.replace(tzinfo=None)

    def own_time(self, moment: date) -> datetime | date:
        """Return a moment of EXDATE, RECURRENCE-ID and the like, to compare.

        A date stands for every time on it.
        """
        if not isinstance(moment, datetime):
            return moment
        if isinstance(self.begin, datetime):
            return self._wall(moment)
        start = self.component.first_line("DTSTART")
        if start is not None and isinstance(moment_of(start, self.zones), datetime):
            return self._local(moment).date()
        return moment.date()

    @cached_property
    def wall(self) -> datetime:
        """Its beginning by its own clocks; midnight for whole days."""
        return self._wall(self.begin)

    def happenings(
        self, first: date, last: date, changed: "Sequence[Event]", budget: WorkBudget
    ) -> Iterator[EventOccurrence]:
        """Yield those that touch the days from `first` to `last`.

        `changed`: events that stand for single dates of a series.
        """
        status = self.component.first_line("STATUS")
        if status is not None and status.value.upper() == "CANCELLED":
            return
        without = self._exceptions(changed, budget)
        earliest = date(1, 1, 1)
        if self.length < 40000 * DAY:
            earliest = max(first - self.length - 2 * DAY, earliest)
        for start in sorted(self._starts(earliest, last, budget)):
            budget.spend()
            if start not in without and start.date() not in without:
                yield self._at(start)

    def _exceptions(self, changed: "Sequence[Event]", budget: WorkBudget) -> set[datetime | date]:
        """Return the times at which it does not take place, or another event takes its place."""
        without = {
            self.own_time(moment)
            for line in self.component.lines_named("EXDATE")
            for moment in moments_of(line, self.zones)
        }
        if self.replaces is None:
            budget.spend(len(changed))
            without |= {
                self.own_time(moment_of(event.replaces, event.zones))
                for event in changed
                if event.replaces is not None
            }
        return without

    def _starts(self, first: date, last: date, budget: WorkBudget) -> set[datetime]:
        """Return when it begins, by its own clocks: once, by rules, and on listed dates."""
        starts, excluded = {self.wall}, set[datetime]()
        for line in self.component.lines_named("RDATE"):
            for moment in moments_of(line, self.zones):
                starts.add(self._with_time(self.own_time(moment), self.wall.time()))
        if self.replaces is None:
            for line in self.component.lines_named("RRULE"):
                starts.update(self._repeats(line, budget).between(first, last + DAY))
            for line in self.component.lines_named("EXRULE"):
                excluded.update(self._repeats(line, budget).between(first, last + DAY))
        return {start for start in starts - excluded if first <= start.date() <= last + DAY}

    @staticmethod
    def _with_time(moment: datetime | date, at: time) -> datetime:
        """Return the moment, or that time of the date."""
        if isinstance(moment, datetime):
            return moment
        return datetime.combine(moment, at)

    def _repeats(self, line: ContentLine, budget: WorkBudget) -> Recurrence:
        rule = parse_rule(line.value)
        until = None
        if rule.until:
            until_line = ContentLine(line.number, "UNTIL", {}, rule.until)
            own = self.own_time(moment_of(until_line, self.zones))
            until = self._with_time(own, time.max)
        return Recurrence(rule, self.wall, until, budget)

    def _at(self, start: datetime) -> EventOccurrence:
        end = start + self.length
        if not isinstance(self.begin, datetime):
            return EventOccurrence(start.date(), end.date(), self.name, self.people, self._free)
        zone = self.begin.tzinfo
        since, until = start.replace(tzinfo=zone), end.replace(tzinfo=zone)
        return EventOccurrence(since, until, self.name, self.people, self._free)

    @cached_property
    def _free(self) -> bool:
        return self._has("TRANSP", "TRANSPARENT") or self._has("X-MICROSOFT-CDO-BUSYSTATUS", "FREE")

    def _has(self, name: str, value: str) -> bool:
        line = self.component.first_line(name)
        return line is not None and line.value.upper() == value

    @cached_property
    def people(self) -> int | None:
        """How many are invited and have not declined, with the organizer.

        None: it invites no one.
        """
        invited = [
            line
            for line in self.component.lines_named("ATTENDEE")
            if line.parameters.get("CUTYPE", "").upper() not in _NO_PEOPLE
        ]
        if not invited:
            return None
        coming = {
            line.value.casefold()
            for line in invited
            if line.parameters.get("PARTSTAT", "").upper() != "DECLINED"
        }
        host = self.component.first_line("ORGANIZER")
        if host is not None and all(host.value.casefold() != i.value.casefold() for i in invited):
            coming.add(host.value.casefold())
        return len(coming) + sum(map(_guests, invited))


def _guests(attendee: ContentLine) -> int:
    guests = attendee.parameters.get("X-NUM-GUESTS", "0")
    if not guests.isdecimal() or len(guests) > 3:
        return 0
    return int(guests)


def _changed(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Return by series (UID) the events that stand for single dates of it.

    Some files have one UID for everything, or none.
    """
    changed: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.replaces is not None and event.uid:
            changed[event.uid].append(event)
    return changed
