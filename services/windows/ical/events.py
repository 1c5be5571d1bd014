"""Events of a calendar file, and when they happen: once, as their rules repeat them, and as single dates of a series were changed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo

from services.common.errors import Refused
from services.windows.ical.lines import Component, Line, Skipped, read_components
from services.windows.ical.moments import DAY, Zones, length_of, moment_of, moments_of
from services.windows.ical.names import harmless, unescaped
from services.windows.ical.rules import Budget, Repeats, parse_rule

ALL_DAY = (
    "X-MICROSOFT-CDO-ALLDAYEVENT",
    "X-MICROSOFT-MSNCALENDAR-ALLDAYEVENT",
    "X-FUNAMBOL-ALLDAY",
)
_NO_PEOPLE = ("RESOURCE", "ROOM")


@dataclass(frozen=True)
class Happening:
    """One time at which an event takes place: whole days (dates, `until` not included), or between two moments.

    A moment without a zone is the same everywhere, as the clocks show it.
    """

    since: date
    until: date
    name: str
    people: int | None = None
    free: bool = False  # shown as free: nobody is busy for it

    @property
    def all_day(self) -> bool:
        """Whether it is of whole days."""
        return not isinstance(self.since, datetime)


@dataclass(frozen=True)
class Reading:
    """What a file says about the days that were asked for, in order, and what was passed over."""

    happenings: tuple[Happening, ...]
    skipped: tuple[Skipped, ...] = ()


def read_calendar(ics: bytes, first: date, last: date, zone: str) -> Reading:
    """Everything that touches those days. `zone`: by whose clocks a day is a day.

    Refused when it is no calendar, when a date, a rule or a name in it cannot be read, or when that takes too much work: a part of the
    days would be worse than none.
    """
    root, skipped = read_components(ics)
    budget = Budget()
    zones = Zones(_defined(root), first, last, budget)
    there = ZoneInfo(zone)
    events: list[Event] = []
    found: list[Happening] = []
    for component in root.walk("VEVENT"):
        with _naming(component):
            events.append(Event(component, zones, there))
    changed = _changed(events)
    for event in events:
        with _naming(event.component):
            found += event.happenings(first, last, changed[event.uid], budget)
    unknown = (
        Skipped(line, f"time zone “{harmless(name)}” is unknown: read as local")
        for line, name in zones.unknown.items()
    )
    told = sorted([*skipped, *unknown], key=lambda s: s.line)
    return Reading(tuple(sorted(found, key=lambda h: (_sortable(h.since), h.name))), tuple(told))


def _defined(root: Component) -> dict[str, Component]:
    named = ((part, part.first("TZID")) for part in root.walk("VTIMEZONE"))
    return {line.value: part for part, line in named if line is not None}


@contextmanager
def _naming(component: Component) -> Iterator[None]:
    """Says which event it was that cannot be read."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        summary = component.first("SUMMARY")
        name = harmless(unescaped(summary.value)) if summary else ""
        said = f"line {component.number}, the event “{name or 'without a name'}”"
        raise Refused(f"{said} cannot be read: {error}") from None


def _sortable(moment: date) -> datetime:
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time.min, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass
class Event:
    """A VEVENT. ValueError when what matters in it cannot be read."""

    component: Component
    zones: Zones
    there: tzinfo
    uid: str = ""
    name: str = ""
    begin: date = field(init=False)  # a date for whole days, else a moment
    length: timedelta = field(init=False)  # as the clocks of its own zone count it
    replaces: Line | None = None  # which time of its series it is put in the place of

    def __post_init__(self) -> None:
        part = self.component
        uid, summary, start = part.first("UID"), part.first("SUMMARY"), part.first("DTSTART")
        self.uid = uid.value if uid else ""
        self.name = harmless(unescaped(summary.value)) if summary else ""
        self.replaces = part.first("RECURRENCE-ID")
        if self.replaces is not None and "RANGE" in self.replaces.parameters:
            raise ValueError(
                "RECURRENCE-ID with a RANGE changes all later dates of a series, which is not read"
            )
        if start is None:
            raise ValueError("it has no DTSTART")
        begin = moment_of(start, self.zones)
        flagged = any(
            (line := part.first(name)) is not None and line.value.upper() in ("TRUE", "1")
            for name in ALL_DAY
        )
        self.begin = self._local(begin).date() if flagged and isinstance(begin, datetime) else begin
        self.length = self._length(begin)

    def _local(self, moment: datetime) -> datetime:
        """As the event's own clocks show it; what is written in UTC, as those of the cluster."""
        return (moment.astimezone(self.there) if moment.tzinfo is UTC else moment).replace(
            tzinfo=None
        )

    def _length(self, begin: date) -> timedelta:
        """The kind of the beginning rules: whole days, one at least, where that is a date."""
        end, length = self.component.first("DTEND"), self.component.first("DURATION")
        if not isinstance(self.begin, datetime):
            if end is not None:
                return max(
                    DAY,
                    self._last_day(moment_of(end, self.zones), flagged=isinstance(begin, datetime))
                    - self.begin,
                )
            days = -(-length_of(length) // DAY) if length is not None else 1
            return max(1, days) * DAY
        if end is not None:
            return max(
                timedelta(0),
                self._wall(moment_of(end, self.zones)) - self.begin.replace(tzinfo=None),
            )
        return length_of(length) if length is not None else timedelta(0)

    def _last_day(self, end: date, *, flagged: bool) -> date:
        """The day after the last. Outlook writes the end of a flagged day as its 23:59, too."""
        if not isinstance(end, datetime):
            return end
        local = self._local(end) if flagged else end.replace(tzinfo=None)
        return local.date() + DAY if flagged and local.time() != time.min else local.date()

    def _wall(self, moment: date) -> datetime:
        """As the clocks of the beginning's zone show it."""
        if not isinstance(moment, datetime):
            return datetime.combine(moment, time.min)
        zone = self.begin.tzinfo if isinstance(self.begin, datetime) else None
        return (moment.astimezone(zone) if zone and moment.tzinfo else moment).replace(tzinfo=None)

    def own_time(self, moment: date) -> datetime | date:
        """A moment of EXDATE, RECURRENCE-ID and the like, to compare: a date stands for every time on it."""
        if not isinstance(moment, datetime):
            return moment
        if isinstance(self.begin, datetime):
            return self._wall(moment)
        flagged = self.component.first("DTSTART")
        timed = flagged is not None and isinstance(moment_of(flagged, self.zones), datetime)
        return self._local(moment).date() if timed else moment.date()

    @cached_property
    def wall(self) -> datetime:
        """Its beginning as its own clocks show it; midnight for whole days."""
        return self._wall(self.begin)

    def happenings(
        self, first: date, last: date, changed: "Sequence[Event]", budget: Budget
    ) -> Iterator[Happening]:
        """Those that touch the days from `first` to `last`. `changed` are events that stand for single dates of a series."""
        status = self.component.first("STATUS")
        if status is not None and status.value.upper() == "CANCELLED":
            return
        without = {
            self.own_time(m)
            for line in self.component.all("EXDATE")
            for m in moments_of(line, self.zones)
        }
        if self.replaces is None:
            budget.spend(len(changed))
            without |= {
                self.own_time(moment_of(e.replaces, e.zones))
                for e in changed
                if e.replaces is not None
            }
        earliest = (
            max(first - self.length - 2 * DAY, date(1, 1, 1))
            if self.length < 40000 * DAY
            else date(1, 1, 1)
        )
        for start in sorted(self._starts(earliest, last, budget)):
            budget.spend()
            if start not in without and start.date() not in without:
                yield self._at(start)

    def _starts(self, first: date, last: date, budget: Budget) -> set[datetime]:
        """When it begins, as its own clocks show it: once, as rules repeat it, and on dates named beside them."""
        found = {self.wall} if first <= self.wall.date() <= last + DAY else set[datetime]()
        for line in self.component.all("RDATE"):
            for moment in moments_of(line, self.zones):
                own = self.own_time(moment)
                found.add(
                    own if isinstance(own, datetime) else datetime.combine(own, self.wall.time())
                )
        taken = set[datetime]()
        for name, into in (("RRULE", found), ("EXRULE", taken)) if self.replaces is None else ():
            for line in self.component.all(name):
                into.update(self._repeats(line, budget).between(first, last + DAY))
        return {f for f in found - taken if first <= f.date() <= last + DAY}

    def _repeats(self, line: Line, budget: Budget) -> Repeats:
        rule = parse_rule(line.value)
        until = None
        if rule.until:
            own = self.own_time(moment_of(Line(line.number, "UNTIL", {}, rule.until), self.zones))
            until = own if isinstance(own, datetime) else datetime.combine(own, time.max)
        return Repeats(rule, self.wall, until, budget)

    def _at(self, start: datetime) -> Happening:
        end = start + self.length
        free = self._said("TRANSP", "TRANSPARENT") or self._said(
            "X-MICROSOFT-CDO-BUSYSTATUS", "FREE"
        )
        if isinstance(self.begin, datetime):
            zone = self.begin.tzinfo
            return Happening(
                start.replace(tzinfo=zone), end.replace(tzinfo=zone), self.name, self.people, free
            )
        return Happening(start.date(), end.date(), self.name, self.people, free)

    def _said(self, name: str, value: str) -> bool:
        line = self.component.first(name)
        return line is not None and line.value.upper() == value

    @cached_property
    def people(self) -> int | None:
        """How many are invited and have not declined, whoever invites among them; None where it names none."""
        invited = [
            a
            for a in self.component.all("ATTENDEE")
            if a.parameters.get("CUTYPE", "").upper() not in _NO_PEOPLE
        ]
        coming = {
            a.value.casefold()
            for a in invited
            if a.parameters.get("PARTSTAT", "").upper() != "DECLINED"
        }
        host = self.component.first("ORGANIZER")
        known = {a.value.casefold() for a in invited}
        coming |= {host.value.casefold()} - known if host is not None else set()
        guests = sum(
            int(g)
            for a in invited
            if (g := a.parameters.get("X-NUM-GUESTS", "0")).isdecimal() and len(g) < 4
        )
        return len(coming) + guests if invited else None


def _changed(events: Sequence[Event]) -> dict[str, list[Event]]:
    """By series, the events that stand for single dates of it. Some files give one name to everything, or none."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.replaces is not None and event.uid:
            found[event.uid].append(event)
    return found
