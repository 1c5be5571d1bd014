"""Recurrence rules (RRULE), expanded day by day within a budget of steps.

Periods (days, weeks, months, years) are tried one after the other, from the event's beginning or,
without a COUNT, from shortly before the days that are read. Of each only the days that the rule's
parts can mean are tried.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
WITHIN_A_DAY = ("HOURLY", "MINUTELY", "SECONDLY")
STEPS = 400_000  # of work for one file: about a second
_TIMES = ("BYHOUR", "BYMINUTE", "BYSECOND")
_NUMBERS = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (1, 31),
    "BYYEARDAY": (1, 366),
    "BYWEEKNO": (1, 53),
    "BYSETPOS": (1, 366),
}
_MOST = 400  # values in one part


class WorkBudget:
    """Steps of work that are left. ValueError when they are used up."""

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps

    def spend(self, steps: int = 1) -> None:
        """Take so many steps."""
        self._left -= steps
        if self._left < 0:
            raise ValueError("it repeats so often that it takes too long to work out")


@dataclass(frozen=True)
class RecurrenceRule:
    """A rule as written, each part checked.

    `days`: weekday and its number in the month or year, 0 for all.
    """

    frequency: str
    interval: int = 1
    count: int | None = None
    until: str = ""
    week_begins: int = 0
    days: tuple[tuple[int, int], ...] = ()
    numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    times: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def part(self, name: str) -> tuple[int, ...]:
        """Return the numbers of `BYMONTH` and the like; empty for none."""
        return self.numbers.get(name, ())


def parse_rule(text: str) -> RecurrenceRule:
    """Return the rule of a text. ValueError with what is wrong."""
    parts: dict[str, str] = {}
    for part in filter(None, text.upper().replace(" ", "").split(";")):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts:
            raise ValueError(f"RRULE: {_short(part)} is not part of a rule")
        parts[name] = value
    frequency = parts.pop("FREQ", "")
    if frequency in WITHIN_A_DAY:
        raise ValueError("it repeats within a day, which no day off does")
    if frequency not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        raise ValueError(f"RRULE: FREQ={_short(frequency)} is not a frequency")
    count = None
    if "COUNT" in parts:
        count = _whole("COUNT", parts.pop("COUNT"))
    in_month = "BYMONTH" in parts or frequency == "MONTHLY"
    rule = RecurrenceRule(
        frequency=frequency,
        interval=_whole("INTERVAL", parts.pop("INTERVAL", "1")),
        count=count,
        until=parts.pop("UNTIL", ""),
        week_begins=_weekday(parts.pop("WKST", "MO")),
        days=_weekdays(parts.pop("BYDAY", ""), frequency, in_month=in_month),
        numbers={name: _numbers(name, parts.pop(name)) for name in _NUMBERS if name in parts},
        times={name: _clock(name, parts.pop(name)) for name in _TIMES if name in parts},
    )
    if parts.pop("RSCALE", "GREGORIAN") != "GREGORIAN" or parts:
        raise ValueError(f"RRULE: {_short(next(iter(parts), 'RSCALE'))} is not known")
    _go_together(rule)
    return rule


def _go_together(rule: RecurrenceRule) -> None:
    for name in ("BYWEEKNO", "BYYEARDAY"):
        if rule.part(name) and rule.frequency != "YEARLY":
            raise ValueError(f"RRULE: {name} requires FREQ=YEARLY")
    if rule.part("BYMONTHDAY") and rule.frequency == "WEEKLY":
        raise ValueError("RRULE: BYMONTHDAY is not allowed with FREQ=WEEKLY")


def _short(text: str) -> str:
    return re.sub(r"[^A-Z0-9=,+-]", "?", text[:20]) or "nothing"


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text) or int(text) < 1:
        raise ValueError(f"RRULE: {name}={_short(text)} must be a whole number from 1")
    return int(text)


def _weekday(text: str) -> int:
    if text not in DAYS:
        raise ValueError(f"RRULE: {_short(text)} is not a weekday")
    return DAYS.index(text)


def _values(name: str, text: str) -> list[str]:
    values = text.split(",")
    if len(values) > _MOST:
        raise ValueError(f"RRULE: {name} has {len(values)} values; {_MOST} are read")
    return values


def _weekdays(text: str, frequency: str, *, in_month: bool) -> tuple[tuple[int, int], ...]:
    if not text:
        return ()
    weekdays = []
    most = 5 if in_month else 53
    for value in _values("BYDAY", text):
        match = re.fullmatch(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", value)
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= most):
            raise ValueError(f"RRULE: BYDAY={_short(value)} is not a weekday")
        number = int(match[1] or 0)
        if number and frequency not in ("MONTHLY", "YEARLY"):
            raise ValueError(f"RRULE: BYDAY={_short(value)} requires FREQ=MONTHLY or YEARLY")
        weekdays.append((_weekday(match[2]), number))
    return tuple(weekdays)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    low, high = _NUMBERS[name]
    numbers = []
    for value in _values(name, text):
        if (
            not re.fullmatch(r"[+-]?\d{1,3}", value)
            or not low <= abs(int(value)) <= high
            or (name == "BYMONTH" and int(value) < 0)
        ):
            raise ValueError(f"RRULE: {name}={_short(value)} must be a number up to {high}")
        numbers.append(int(value))
    return tuple(numbers)


def _clock(name: str, text: str) -> tuple[int, ...]:
    values = _values(name, text)
    if not all(re.fullmatch(r"\d{1,2}", v) for v in values):
        raise ValueError(f"RRULE: {name}={_short(text)} is not a time of day")
    return tuple(int(v) for v in values)


@dataclass(frozen=True)
class Recurrence:
    """A rule from a beginning on.

    `begin` and `until` are local to the event's own zone; dates begin at midnight.
    """

    rule: RecurrenceRule
    begin: datetime
    until: datetime | None
    budget: WorkBudget

    def between(self, first: date, last: date) -> Iterator[datetime]:
        """Yield its beginnings from one day to another, both included, in order."""
        self._check_times()
        number = 0
        for day in self._days(first, last):
            moment = datetime.combine(day, self.begin.time())
            if moment < self.begin:
                continue
            number += 1
            over = self.until is not None and moment > self.until
            if over or day > last or (self.rule.count is not None and number > self.rule.count):
                return
            if day >= first:
                yield moment

    def _check_times(self) -> None:
        """Refuse a rule with a time of day, unless it is the one at which the event begins."""
        at = self.begin.time()
        for name, own in zip(_TIMES, (at.hour, at.minute, at.second), strict=True):
            if self.rule.times.get(name, (own,)) != (own,):
                raise ValueError("it repeats within a day, which no day off does")

    def _days(self, first: date, last: date) -> Iterator[date]:
        """Yield the days of one period after the other; with a COUNT from the first period on."""
        begin, interval = self.begin.date(), self.rule.interval
        step, start = 0, begin
        if self.rule.count is None and first > begin:
            step = max(0, self._periods_before(first) // interval - 1) * interval
        while True:
            self.budget.spend()
            start = self._period(step)
            if start > last or start == date.max:
                return
            days = sorted({d for d in self._in(start) if self._fits(d)})
            yield from _picked(days, self.rule.part("BYSETPOS"))
            step += interval

    def _periods_before(self, first: date) -> int:
        """Return how many periods lie between the beginning and that day, at least."""
        begin = self.begin.date()
        match self.rule.frequency:
            case "DAILY":
                return (first - begin).days
            case "WEEKLY":
                return (first - begin).days // 7
            case "MONTHLY":
                return (first.year - begin.year) * 12 + first.month - begin.month
            case _:
                return first.year - begin.year

    def _period(self, number: int) -> date:
        """Return the first day of the period that many after the first one.

        It is `date.max` beyond the end of the calendar.
        """
        begin = self.begin.date()
        try:
            match self.rule.frequency:
                case "DAILY":
                    return begin + timedelta(days=number)
                case "WEEKLY":
                    into_week = (begin.weekday() - self.rule.week_begins) % 7
                    return begin + timedelta(days=7 * number - into_week)
                case "MONTHLY":
                    months = begin.year * 12 + begin.month - 1 + number
                    return date(months // 12, months % 12 + 1, 1)
                case _:
                    return date(begin.year + number, 1, 1)
        except (OverflowError, ValueError):
            return date.max

    def _in(self, start: date) -> Iterator[date]:
        """Return the days of that period which the rule's parts can mean."""
        match self.rule.frequency:
            case "DAILY":
                return iter((start,))
            case "WEEKLY":
                return (start + timedelta(days=n) for n in range(7))
            case "MONTHLY":
                return self._in_month(start.year, start.month)
            case _:
                return self._in_year(start.year)

    def _in_month(self, year: int, month: int) -> Iterator[date]:
        length = monthrange(year, month)[1]
        numbers = self._month_days() or range(1, length + 1)
        days = {_from_start(n, length) for n in numbers}
        return (date(year, month, n) for n in days if 1 <= n <= length)

    def _in_year(self, year: int) -> Iterator[date]:
        rule = self.rule
        if (
            rule.part("BYYEARDAY")
            or rule.part("BYWEEKNO")
            or (rule.days and not rule.part("BYMONTH") and not self._month_days())
        ):
            return (
                date.fromordinal(n)
                for n in range(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1)
            )
        months: Iterable[int] = range(1, 13)
        if rule.part("BYMONTH"):
            months = sorted(rule.part("BYMONTH"))
        elif not self._by_day:
            months = (self.begin.month,)
        return (day for month in months for day in self._in_month(year, month))

    @property
    def _by_day(self) -> bool:
        """Whether the rule itself names days of a period."""
        return bool(self.rule.days) or any(
            self.rule.part(p) for p in ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")
        )

    def _month_days(self) -> tuple[int, ...]:
        if self._by_day or self.rule.frequency not in ("MONTHLY", "YEARLY"):
            return self.rule.part("BYMONTHDAY")
        return (self.begin.day,)

    def _fits(self, day: date) -> bool:
        """Return whether the day matches every part of the rule."""
        self.budget.spend()
        rule, length = self.rule, monthrange(day.year, day.month)[1]
        if (months := rule.part("BYMONTH")) and day.month not in months:
            return False
        of_month = {day.day, day.day - length - 1}
        if (numbers := rule.part("BYMONTHDAY")) and not of_month & {*numbers}:
            return False
        if (numbers := rule.part("BYYEARDAY")) and not {*_of_year(day)} & {*numbers}:
            return False
        if (weeks := rule.part("BYWEEKNO")) and not any(self._in_week(day, w) for w in weeks):
            return False
        if not rule.days:
            by_week = rule.frequency == "WEEKLY" or bool(rule.part("BYWEEKNO"))
            return not by_week or day.weekday() == self.begin.weekday()
        return any(
            day.weekday() == weekday and self._is_number(day, number)
            for weekday, number in rule.days
        )

    def _is_number(self, day: date, number: int) -> bool:
        """Return whether it is the second Monday, the last Friday or the like of month or year."""
        if not number:
            return True
        from_begin, from_end = _of_year_ends(day)
        if self.rule.frequency == "MONTHLY" or self.rule.part("BYMONTH"):
            from_begin, from_end = day.day, monthrange(day.year, day.month)[1] - day.day + 1
        return number in ((from_begin - 1) // 7 + 1, -((from_end - 1) // 7 + 1))

    def _in_week(self, day: date, number: int) -> bool:
        """Return whether it is in that week. The first has at least four days of the year."""
        for year in (day.year - 1, day.year, day.year + 1):
            begin = self._first_week(year)
            weeks = (self._first_week(year + 1) - begin).days // 7
            wanted = _from_start(number, weeks)
            if 0 <= (day - begin).days // 7 == wanted - 1 and wanted <= weeks:
                return True
        return False

    def _first_week(self, year: int) -> date:
        fourth = date(min(max(year, 1), 9999), 1, 4)
        return fourth - timedelta(days=(fourth.weekday() - self.rule.week_begins) % 7)


def _of_year(day: date) -> tuple[int, int]:
    """Return its number in the year, from the beginning and (negative) from the end."""
    begin, end = _of_year_ends(day)
    return begin, -end


def _of_year_ends(day: date) -> tuple[int, int]:
    return (day - date(day.year, 1, 1)).days + 1, (date(day.year, 12, 31) - day).days + 1


def _picked(days: list[date], positions: Iterable[int]) -> list[date]:
    """Return the days at the positions of BYSETPOS; all without it."""
    if not positions:
        return days
    chosen = {_from_start(n, len(days)) for n in positions}
    return [day for n, day in enumerate(days, 1) if n in chosen]


def _from_start(number: int, length: int) -> int:
    """Return a number that may count from the end (-1 is the last) as one from the start."""
    return number if number > 0 else length + 1 + number
